"""Real two-process training on the CPU (gloo), started in every way that Lightning has."""

import contextlib
import math
import multiprocessing

import lightning.pytorch as pl
import pytest
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import ConfigError, Tuner
from support import processes
from support.models import Net, blobs

pytestmark = pytest.mark.slow


SCENARIOS = {
    "ddp": ["plain", "untuned", "compared", "races", "step", "cached", "cached again", "error", "memory"],
    "torchrun": ["plain"],
    "ddp_find_unused_parameters_true": ["plain"],
    "ddp_fork": ["plain", "error", "memory"],
    "ddp_spawn": ["plain"],
}
"""What is done one after the other in the same processes, as a script does it that tunes several times."""


@pytest.fixture(scope="module", name="run")
def _run(tmp_path_factory):
    """Runs all scenarios of a way to start processes, once; what the ranks found in one of them, and where."""
    known = {}

    def run(strategy, scenario="plain"):
        if strategy not in known:
            folder = tmp_path_factory.mktemp(strategy)
            torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
            with contextlib.chdir(folder):
                known[strategy] = (
                    folder,
                    processes.run(
                        "distributed_script.py",
                        strategy.replace("torchrun", "ddp"),
                        *SCENARIOS[strategy],
                        launcher=torchrun if strategy == "torchrun" else (),
                    ),
                )
        folder, found = known[strategy]
        return [one[scenario] for _, one in sorted(found.items())], folder

    return run


@pytest.mark.parametrize("strategy", ["ddp", "torchrun", "ddp_find_unused_parameters_true"])
def test_all_ranks_find_the_same(run, strategy):
    """Each process of a script ends up with the same values, and its fit works."""
    (first, second), folder = run(strategy)
    assert first == second
    assert first["trained"]
    # 200 samples: each rank has 100, so 40 is the limit of the config
    assert first["batch_size"] == 40
    assert first["learning_rate"] != 1e-3
    assert all(math.isfinite(loss) for loss in first["losses"][:10])
    assert (folder / "prepared plain").read_text() == "xx"  # once for the tuning, once for the fit


def test_all_ranks_compare_alike(run):
    """Previews have as many steps on all ranks, the same scores, and the same values win."""
    (first, second), _ = run("ddp", "compared")
    assert first == second
    assert len(first["compared"]) >= 2
    sizes_and_rates = [tuple(values[:2]) for values in first["compared"]]
    assert (first["batch_size"], first["learning_rate"]) in sizes_and_rates


def test_all_ranks_reuse_what_rank_0_kept(run):
    """One file for all of them, and the same values without a trial."""
    first, folder = run("ddp", "cached")
    again, _ = run("ddp", "cached again")
    assert len(list((folder / "results").iterdir())) == 1
    assert [(one[0]["reused"], one[0]["trained"]) for one in (first, again)] == [(False, True), (True, True)]
    assert again == [{**one, "reused": True} for one in first]


def test_all_ranks_race_and_repeat_alike(run):
    """Races and repeats end at the same step on all ranks, with the same winner."""
    (first, second), _ = run("ddp", "races")
    assert first == second
    assert len(first["races"]) >= 3


def test_all_ranks_agree_in_a_step_of_a_plugin(run):
    """It trains and tries the same on all ranks, and asks what the others have."""
    (first, second), _ = run("ddp", "step")
    assert first == second
    found = first["steps"]["agree"]
    assert (found["ranks"], found["together"], found["outcome"]) == ([0, 1], False, "fits")
    assert len(found["losses"]) == 3


def test_fit_after_tuning_is_bit_identical_in_several_processes(run):
    """Tuning leaves no trace but the two values, in any process."""
    (tuned, _), _ = run("ddp")
    (untuned, _), _ = run("ddp", "untuned")
    assert "losses" not in untuned
    assert tuned["weights"] == untuned["weights"]


@pytest.mark.parametrize("strategy", ["ddp_fork", "ddp_spawn"])
def test_processes_that_end_with_the_tuning_hand_over_what_they_found(run, strategy):
    """The process that called has the values, although it tuned nothing itself."""
    (found,), _ = run(strategy)
    assert (found["batch_size"], found["trained"]) == (40, True)
    assert found["learning_rate"] != 1e-3


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_one_rank_out_of_memory_decides_for_all(run, strategy):
    """With a real limit on rank 1 only, both ranks settle on what fits there, and nobody waits for ever."""
    found, _ = run(strategy, "memory")
    assert {one["batch_size"] for one in found} == {23}
    for one in found:
        outcomes = {int(size): outcome for size, outcome in one["outcomes"].items()}
        assert outcomes == {size: "fits" if size <= 23 else "out_of_memory" for size in outcomes}
        assert one["trained"]


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_an_error_on_one_rank_ends_the_tuning_on_all(run, strategy):
    """Rank 1's own error comes out there as it is; rank 0 says which rank failed. No object is changed, and the next
    tuning goes on.
    """
    found, _ = run(strategy, "error")
    assert found[0]["error"] == "OtherRankError: on rank 1: ValueError: only rank 1 fails"
    if strategy == "ddp":
        assert found[1]["error"] == "ValueError: only rank 1 fails"
    assert {one["batch_size"] for one in found} == {16}
    assert {one["learning_rate"] for one in found} == {1e-3}


def test_loaders_cannot_be_sent_to_spawned_processes():
    """Loaders passed by hand cannot be pickled: said in one sentence, before any process starts."""
    trainer = pl.Trainer(strategy="ddp_spawn", accelerator="cpu", devices=2, logger=False, enable_checkpointing=False)
    loader = DataLoader(TensorDataset(*blobs()), batch_size=8)
    with pytest.raises(ConfigError, match="pass a datamodule"):
        Tuner(trainer).scale_batch_size(Net(), train_dataloaders=loader)
    assert multiprocessing.active_children() == []
