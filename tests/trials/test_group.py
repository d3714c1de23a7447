"""Trials as groups of processes: sharded strategies in two real processes on the CPU (gloo), and what may happen there.

Each start of two processes takes seconds, so one script goes through several scenarios.
"""

import math

import pytest
from lightning.pytorch.strategies import ModelParallelStrategy

from lit_autotune import ConfigError, TunerConfig, TuningError
from lit_autotune.copies.ranks import Outcome, Weight, agreed, failure
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import OtherRankError
from lit_autotune.trials.group import Group, group_for
from support.models import Blobs, Net, quiet_trainer
from support.processes import run


def check_nothing_is_left(found):
    """No process, no file of shared memory, and with each scenario the same ports as before it."""
    for rank in found.values():
        scenarios = [one for one in rank.values() if "left" in one]
        assert [one["left"]["processes"] for one in scenarios] == [[]] * len(scenarios)
        assert [one["left"]["shared"] for one in scenarios] == [[]] * len(scenarios)
        assert len({str(one["left"]["ports"]) for one in scenarios}) == 1
        assert all(one["untouched"] for one in scenarios)


@pytest.mark.slow
def test_fully_sharded_on_two_processes():
    """FSDP2, on the meta device first; then a rank is short of memory, its process is killed, or it stands still."""
    found = run("group_script.py", "fsdp2", "meta", "memory", "killed", "still")
    check_nothing_is_left(found)
    first, second = found["found_0"], found["found_1"]
    assert first["fit"] == second["fit"] == {"steps": 20, "parameter": "DTensor"}

    assert first["meta"]["batch_size"] == second["meta"]["batch_size"] == 24
    assert first["meta"]["losses"] == pytest.approx(second["meta"]["losses"], nan_ok=True)
    assert first["meta"]["learning_rate"] == second["meta"]["learning_rate"] != 1e-3

    # A real limit on rank 1 only: both ranks settle on what fits there.
    for rank in (first, second):
        outcomes = {int(size): outcome for size, outcome in rank["memory"]["outcomes"].items()}
        assert outcomes == {size: "fits" if size <= 23 else "out_of_memory" for size in outcomes}
        assert rank["memory"]["batch_size"] == 23
        assert "of rank 1, the least of all" in rank["memory"]["budget"]

        assert "on rank 1: the trial's process was ended by signal SIGKILL" in rank["killed"]["error"]
        assert "no process has finished a batch or computed for 6 s (trial_timeout)" in rank["still"]["error"]
        assert rank["killed"]["batch_size"] == rank["still"]["batch_size"] == 8


@pytest.mark.slow
def test_tensor_parallel_on_two_processes():
    """Both ranks get the same samples; range test, races and comparison have one curve on both."""
    found = run("group_script.py", "tp", "plain")
    check_nothing_is_left(found)
    first, second = found["found_0"], found["found_1"]
    assert first["fit"] == second["fit"] == {"steps": 20, "parameter": "DTensor"}
    for name in ("losses", "races", "compared", "learning_rate", "batch_size"):
        assert str(first["plain"][name]) == str(second["plain"][name])
    assert first["plain"]["losses"]
    assert first["plain"]["races"]
    assert first["plain"]["compared"]
    assert all(map(math.isfinite, first["plain"]["losses"][:5]))
    # 256 samples for each rank, not halves of them
    assert first["plain"]["plan"] == "20 optimizer steps in 2 epochs of 11"


@pytest.mark.slow
def test_ddp_in_a_group():
    """With trial_isolation = 'group' trials of DDP have its own collectives, and may run out of memory in them."""
    found = run("group_script.py", "ddp", "memory")
    check_nothing_is_left(found)
    assert {rank["memory"]["batch_size"] for rank in found.values()} == {23}
    assert {rank["fit"]["parameter"] for rank in found.values()} == {"Parameter"}


def test_the_most_serious_outcome_counts():
    """What explains the others is told: a death before an error, memory before data, lost touch last."""
    lost, memory, died = (
        Outcome(None, weight, weight.name) for weight in (Weight.LOST_TOUCH, Weight.OUT_OF_MEMORY, Weight.DIED)
    )
    assert agreed([Outcome(1), Outcome(2)], None) == [1, 2]
    with pytest.raises(MemoryError, match="on rank 1: OUT_OF_MEMORY"):
        agreed([lost, memory], None)
    with pytest.raises(TuningError, match="on rank 2: DIED"):
        agreed([lost, memory, died], MemoryError("mine"))
    with pytest.raises(OtherRankError, match="on rank 1: ValueError: theirs"):
        agreed([lost, failure(ValueError("theirs"), Weight.FAILED)], None)
    with pytest.raises(ValueError, match="mine"):
        agreed([failure(ValueError("mine"), Weight.FAILED), lost], ValueError("mine"))


def test_who_gets_a_group():
    """Sharded strategies always, parallel ones on demand, a single device never; those of Ray are refused."""

    def group(strategy, isolation="auto", devices=2):
        trainer = quiet_trainer(strategy=strategy, devices=devices)
        return group_for(Sandbox(trainer, Net(), Blobs()), TunerConfig(trial_isolation=isolation))

    assert isinstance(group(ModelParallelStrategy(), "none"), Group)
    assert isinstance(group("ddp", "group"), Group)
    assert group("ddp") is group("auto", "group", devices=1) is None
    rays = type("RayModelParallelStrategy", (ModelParallelStrategy,), {"__module__": "ray.train.lightning"})
    with pytest.raises(ConfigError, match="RayModelParallelStrategy asks Ray for its rank"):
        group(rays())
