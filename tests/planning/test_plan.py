"""What the training to come amounts to."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, IterableDataset

from lit_autotune import TunerConfig, tune
from lit_autotune.planning.plan import plan_training
from support.models import Blobs, Net, quiet_trainer

CONFIG = {"use_learning_rate_tuning": True, "lr_min": 1e-5, "lr_num_training": 20, "compare": False, "verbose": False}


def planned(data=None, trainer=None, **fields):
    config = TunerConfig(**{**CONFIG, "lr_verify": False, "lr_auto_extend": False, **fields})
    return tune(trainer or quiet_trainer(), Net(), data or Blobs(), config, save_plot=False).plan


@pytest.mark.parametrize(
    ("arguments", "per_epoch", "epochs", "steps", "samples", "limit"),
    [
        ({"max_epochs": 3}, 16, 3, 48, 3 * 256, "epochs"),
        ({"max_epochs": 3, "accumulate_grad_batches": 3}, 6, 3, 18, 3 * 256, "epochs"),
        ({"max_epochs": -1, "max_steps": 40}, 16, 3, 40, 40 * 16, "steps"),
        ({"max_epochs": 2, "max_steps": 40}, 16, 2, 32, 2 * 256, "epochs"),
        ({"max_epochs": 5, "limit_train_batches": 4}, 4, 5, 20, 20 * 16, "epochs"),
        ({"max_epochs": 5, "limit_train_batches": 0.5}, 8, 5, 40, 40 * 16, "epochs"),
        ({"max_epochs": None}, 16, 1000, 16_000, 256_000, "epochs"),
        ({"max_epochs": -1}, 16, None, None, None, None),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_the_trainers_limits_make_the_plan(arguments, per_epoch, epochs, steps, samples, limit):
    """256 samples in batches of 16: steps of an epoch and in all, samples, and what ends the training."""
    plan = planned(trainer=quiet_trainer(**arguments))
    assert plan.batch_size == 16
    assert (plan.steps_per_epoch, plan.epochs, plan.steps, plan.samples) == (per_epoch, epochs, steps, samples)
    assert plan.limit == limit


def test_the_plan_is_what_fit_does():
    """Real fits make as many optimizer steps, with any batch size."""
    trainer = quiet_trainer(max_epochs=3, accumulate_grad_batches=2)
    plan = planned(trainer=trainer)
    for size in (16, 24, 100):
        other = quiet_trainer(max_epochs=3, accumulate_grad_batches=2)
        other.fit(Net(), datamodule=Blobs(batch_size=size))
        assert other.global_step == plan.resized(size).steps


def test_data_without_a_length():
    """Where nobody knows how long an epoch is, the plan says so; with max_steps the steps are known."""

    class Stream(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.randn(8), 0

    class Streaming(Blobs):
        def train_dataloader(self):
            return DataLoader(Stream(), batch_size=self.batch_size)

    plan = planned(Streaming())
    assert (plan.steps_per_epoch, plan.steps, str(plan)) == (None, None, "without an end that is known")
    plan = planned(Streaming(), quiet_trainer(max_epochs=-1, max_steps=30))
    assert (plan.steps, plan.limit, plan.samples) == (30, "steps", 480)


def test_the_plan_is_that_of_the_batch_size_found():
    """The report has the training to come, not the one before."""
    trainer, data = quiet_trainer(max_epochs=2), Blobs()
    config = TunerConfig(**{**CONFIG, "use_batch_size_tuning": True, "use_learning_rate_tuning": False})
    config.batch_size_target, config.batch_size_max = "largest", 64
    with pytest.warns(UserWarning, match="batch size 64 leaves 4 optimizer steps an epoch"):
        plan = tune(trainer, Net(), data, config, save_plot=False).plan
    assert (data.batch_size, plan.batch_size, plan.steps) == (64, 64, 8)


def test_data_set_up_once_do_not_change_the_plan():
    """The first look is at another batch size; what it set up keeps that size, later copies have the user's."""

    class Saved(Blobs):
        def setup(self, stage):
            super().setup(stage)
            self.ready = True

    config = {"use_batch_size_tuning": True, "batch_size_max": 16}
    assert planned(Saved(), **config).steps == 32


def test_a_range_test_longer_than_the_training_is_noticed():
    """The user is told before it runs."""
    with pytest.warns(UserWarning, match="20 optimizer steps, the whole training only 16; lower lr_num_training"):
        planned(trainer=quiet_trainer(max_epochs=1))


@given(
    batches=st.integers(1, 10**6),
    size=st.integers(1, 4096),
    accumulate=st.integers(1, 8),
    epochs=st.none() | st.integers(0, 100),
    steps=st.none() | st.integers(0, 10**6),
    other=st.integers(1, 10**5),
)
def test_other_batch_sizes(batches, size, accumulate, epochs, steps, other):
    """A larger batch never makes more steps, and with epochs as the limit the samples stay about the same."""
    plan = plan_training(batches, size, accumulate=accumulate, max_epochs=epochs, max_steps=steps)
    assert plan.resized(size) == plan
    resized = plan.resized(other)
    if plan.steps is None:
        assert resized.steps is None
        return
    assert (resized.steps <= plan.steps) if other >= size else (resized.steps >= min(plan.steps, steps or math.inf))
    if resized.limit == plan.limit == "epochs" and epochs:
        assert abs(resized.samples - plan.samples) <= epochs * max(size, other)
