"""Real two-process training on the CPU (gloo), started in every way that Lightning has."""

import math
import multiprocessing
from pathlib import Path

import lightning.pytorch as pl
import pytest
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import ConfigError, Tuner
from support import processes
from support.models import Net, blobs

pytestmark = pytest.mark.slow


def run(strategy, *scenario, launcher=()):
    """Run the script in the current folder; what each rank's process found, by rank."""
    return processes.run("distributed_script.py", strategy, *(scenario or ["plain"]), launcher=launcher, timeout=200)


@pytest.mark.parametrize(
    ("strategy", "launcher"),
    [
        ("ddp", ()),
        ("ddp", ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")),
        ("ddp_find_unused_parameters_true", ()),
    ],
    ids=["ddp", "torchrun", "ddp_find_unused_parameters_true"],
)
def test_all_ranks_find_the_same(strategy, launcher):
    """Each process of a script ends up with the same values, and its fit works."""
    found = run(strategy, launcher=launcher)
    assert set(found) == {"found_0", "found_1"}
    first, second = found["found_0"], found["found_1"]
    assert {**first, "rank": 1} == second
    assert first["trained"]
    # 200 samples: each rank has 100, so 40 is the limit of the config
    assert first["batch_size"] == 40
    assert first["learning_rate"] != 1e-3
    assert all(math.isfinite(loss) for loss in first["losses"][:10])
    assert Path("prepared").read_text() == "xx"  # once for the tuning, once for the fit


def test_all_ranks_compare_alike():
    """Previews have as many steps on all ranks, the same scores, and the same values win."""
    found = run("ddp", "compared")
    assert {**found["found_0"], "rank": 1} == found["found_1"]
    compared = found["found_0"]["compared"]
    assert len(compared) >= 2
    sizes_and_rates = [tuple(values[:2]) for values in compared]
    assert (found["found_0"]["batch_size"], found["found_0"]["learning_rate"]) in sizes_and_rates


def test_all_ranks_reuse_what_rank_0_kept():
    """One file for all of them, and the same values without a trial."""
    first, again = run("ddp", "cached"), run("ddp", "cached")
    assert len(list(Path("results").iterdir())) == 1
    assert [(one["found_0"]["reused"], one["found_0"]["trained"]) for one in (first, again)] == [
        (False, True),
        (True, True),
    ]
    for rank, found in again.items():
        assert {**first[rank], "reused": True} == found


def test_all_ranks_race_and_repeat_alike():
    """Races and repeats end at the same step on all ranks, with the same winner."""
    found = run("ddp", "races")
    assert {**found["found_0"], "rank": 1} == found["found_1"]
    assert len(found["found_0"]["races"]) >= 3


def test_fit_after_tuning_is_bit_identical_in_several_processes():
    """Tuning leaves no trace but the two values, in any process."""
    tuned = run("ddp")["found_0"]
    untuned = run("ddp", "untuned", repr(tuned["learning_rate"]))["found_0"]
    assert "losses" not in untuned
    assert tuned["weights"] == untuned["weights"]


@pytest.mark.parametrize("strategy", ["ddp_fork", "ddp_spawn"])
def test_processes_that_end_with_the_tuning_hand_over_what_they_found(strategy):
    """The process that called has the values, although it tuned nothing itself."""
    found = run(strategy)["found_0"]
    assert (found["batch_size"], found["trained"]) == (40, True)
    assert found["learning_rate"] != 1e-3


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_one_rank_out_of_memory_decides_for_all(strategy):
    """With a real limit on rank 1 only, both ranks settle on what fits there, and nobody waits for ever."""
    found = run(strategy, "memory")
    assert {one["batch_size"] for one in found.values()} == {23}
    for one in found.values():
        outcomes = {int(size): outcome for size, outcome in one["outcomes"].items()}
        assert outcomes == {size: "fits" if size <= 23 else "out_of_memory" for size in outcomes}
        assert one["trained"]


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_an_error_on_one_rank_ends_the_tuning_on_all(strategy):
    """Rank 1's own error comes out there as it is; rank 0 says which rank failed. No object is changed."""
    found = run(strategy, "error")
    assert found["found_0"]["error"] == "OtherRankError: on rank 1: ValueError: only rank 1 fails"
    if strategy == "ddp":
        assert found["found_1"]["error"] == "ValueError: only rank 1 fails"
    assert {one["batch_size"] for one in found.values()} == {16}
    assert {one["learning_rate"] for one in found.values()} == {1e-3}


def test_loaders_cannot_be_sent_to_spawned_processes():
    """Loaders passed by hand cannot be pickled: said in one sentence, before any process starts."""
    trainer = pl.Trainer(strategy="ddp_spawn", accelerator="cpu", devices=2, logger=False, enable_checkpointing=False)
    loader = DataLoader(TensorDataset(*blobs()), batch_size=8)
    with pytest.raises(ConfigError, match="pass a datamodule"):
        Tuner(trainer).scale_batch_size(Net(), train_dataloaders=loader)
    assert multiprocessing.active_children() == []
