"""Which of the sizes that fit is chosen. Pure numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_autotune.planning.plan import plan_training
from lit_autotune.registry.registry import Registry
from lit_autotune.search.choice import (
    LEAST_STEPS,
    LEAST_STEPS_PER_EPOCH,
    Thrift,
    choose,
    few_steps,
    for_target,
    largest_useful,
    what_limits,
)
from lit_autotune.search.driver import search_batch_size
from lit_autotune.types import BatchSizeTrial


def trials(*sizes, speed=lambda size: size):
    """Trials that fit, with a throughput for each size."""
    return [
        BatchSizeTrial(batch_size=size, outcome="fits", seconds=1, step_seconds=(1.0, size / speed(size)))
        for size in sizes
    ]


LADDER = [2**k for k in range(1, 13)]


@pytest.mark.parametrize(
    ("samples", "epochs", "old", "expected"),
    [
        (100_000, 10, 32, 2048),  # 20 steps an epoch would be 5,000, 300 in all 3,333
        (10_000, 100, 32, 256),  # 20 steps an epoch: 500
        (10_000, 3, 32, 64),  # 300 in all: 100
        (1_000, 20, 32, 32),  # 20 steps an epoch: 50
        (1_000, 20, 128, 128),  # never below the present size
        (1_000, 20, None, 32),
        (100, 5, None, 8),
    ],
)
def test_enough_steps_are_left(samples, epochs, old, expected):
    """The largest power of two that leaves 20 steps an epoch and 300 in all, but no less than the present size."""
    plan = plan_training(samples / (old or 2), old or 2, max_epochs=epochs)
    sizes = trials(*LADDER)
    choice = choose("auto", sizes, 4096, plan, old)
    assert choice.batch_size == expected
    assert "steps" in choice.reason


@pytest.mark.parametrize("arguments", [{"max_steps": 1000}, {"max_epochs": 10, "batches_are_fixed": True}])
def test_steps_that_would_only_get_dearer(arguments):
    """Where the number of steps is fixed the present size stays; without one any size will do."""
    plan = plan_training(1000, 32, **arguments)
    assert choose("auto", trials(*LADDER), 4096, plan, 32).batch_size == 32
    assert choose("auto", trials(*LADDER), 4096, plan, None).batch_size == 4096


def test_throughput_that_has_stopped_growing():
    """Auto and fastest end there, largest does not; auto keeps a present size beyond it."""
    plan = plan_training(10**5, 32, max_epochs=100)
    saturating = trials(*LADDER, speed=lambda size: min(size, 128))
    assert choose("auto", saturating, 4096, plan, 32).batch_size == 128
    assert choose("auto", saturating, 4096, plan, 512).batch_size == 512
    assert choose("fastest", saturating, 4096, plan, 512).batch_size == 128
    assert choose("largest", saturating, 4096, plan, 32) == (4096, "the largest that fits")


def test_where_memory_is_the_limit_auto_is_the_largest():
    """With enough data for it."""
    plan = plan_training(10**6, 32, max_epochs=10)
    for target in ("auto", "largest"):
        assert choose(target, trials(2, 4, 8, 16, 32, 48), 48, plan, 32) == (48, "the largest that fits")


def test_evaluations_get_the_largest():
    """They have no steps to lose."""
    assert choose("auto", trials(*LADDER), 4096, None, 16).batch_size == 4096


@given(
    samples=st.integers(1, 10**7),
    epochs=st.integers(1, 1000),
    old=st.none() | st.integers(1, 1000),
    most=st.integers(1, 12),
    target=st.sampled_from(["auto", "largest", "fastest"]),
)
def test_what_is_chosen_was_run_and_fits(samples, epochs, old, most, target):
    """Whatever the plan and the target."""
    size = old or 2
    plan = plan_training(-(-samples // size), size, max_epochs=epochs)
    sizes = sorted({*LADDER[:most], *([old] if old and old < 2**most else [])})
    choice = choose(target, trials(*sizes), max(sizes), plan, old)
    assert choice.batch_size in sizes
    if target == "auto" and old in sizes:
        assert choice.batch_size >= old
        useful, _ = largest_useful(plan, old)
        if choice.batch_size > max(old, 8):
            resized = plan_training(-(-samples // choice.batch_size), choice.batch_size, max_epochs=epochs)
            assert choice.batch_size <= useful
            assert resized.steps_per_epoch >= LEAST_STEPS_PER_EPOCH * 0.9
            assert resized.steps >= LEAST_STEPS * 0.9


@pytest.mark.parametrize(
    ("batches", "epochs", "text"),
    [(19, 100, "19 optimizer steps an epoch"), (50, 2, "100 optimizer steps in all"), (50, 10, "")],
)
def test_few_steps_are_said(batches, epochs, text):
    """An epoch of few steps, and a training of few."""
    assert few_steps(plan_training(batches, 8, max_epochs=epochs)) == text


def slow(size, seconds):
    """A trial of three steps that take so long each."""
    return BatchSizeTrial(batch_size=size, outcome="fits", seconds=1, step_seconds=(seconds,) * 3)


def test_sizes_of_no_use_are_tried_only_while_that_is_cheap():
    """Up to the size that the training has a use for all are; beyond it for three seconds, or 1 % of the training."""
    thrift = Thrift(plan_training(1000 / 32, 32, max_epochs=20), old=32)
    assert thrift.useful == 32
    assert thrift.is_worthwhile(32, slow(16, 10.0))
    assert not thrift.stopped
    thrift = Thrift(plan_training(1000 / 32, 32, max_epochs=20), old=32)
    assert thrift.is_worthwhile(64, slow(32, 0.1))
    assert thrift.is_worthwhile(128, slow(64, 0.2))
    assert not thrift.is_worthwhile(256, slow(128, 1.0))
    assert thrift.stopped
    assert what_limits([slow(128, 1.0)], 25, None, 1000, thrift) == "cost"
    long = Thrift(plan_training(1000 / 32, 32, max_epochs=20_000), old=32)
    assert long.is_worthwhile(256, slow(128, 1.0))


@pytest.mark.parametrize("target", ["auto", "largest", "fastest"])
def test_the_present_size_and_the_useful_one_are_run(target):
    """For auto, also where the search leaves them out; never one that is larger than what fits."""
    plan = plan_training(10_000 / 48, 48, max_epochs=100)
    power = Registry.load().strategy("power")
    thrift = Thrift(plan, 48) if target == "auto" else None

    def probe(size):
        if size > 300:
            raise MemoryError("too large")

    largest, run = search_batch_size(probe, strategy=for_target(power, target, thrift, 48))
    assert largest == 256
    assert (48 in {trial.batch_size for trial in run}) == (target == "auto")
