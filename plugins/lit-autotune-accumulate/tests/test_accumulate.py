"""The product is the target, exactly, with what fits; the rate is tuned at that."""

import lightning.pytorch as pl
import lit_autotune_accumulate
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lit_autotune_accumulate.divide import better_target, divisors, multiples_around
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import ConfigError, TunerConfig, tune
from lit_autotune.registry import Registry
from lit_autotune.testing import memory_limit, plugin_checks


def test_divisors():
    """The largest first, no larger than what fits."""
    assert divisors(96, 40) == [32, 24, 16, 12, 8, 6, 4, 3, 2, 1]
    assert divisors(7, 100) == [7, 1]


@pytest.mark.parametrize(("target", "devices", "near"), [(100, 3, [99, 102]), (2, 4, [4]), (8, 4, [8, 12])])
def test_targets_that_devices_can_share(target, devices, near):
    """The nearest on both sides."""
    assert multiples_around(target, devices) == near


@pytest.mark.parametrize(
    ("target", "devices", "most", "other"), [(257, 1, 64, 256), (514, 2, 64, 512), (97, 1, 10, 96), (7, 1, 4, None)]
)
def test_a_target_that_divides_better(target, devices, most, other):
    """Near what was asked for, or none."""
    assert better_target(target, devices, most) == other


class Net(pl.LightningModule):
    """Notes the batches that all copies train on."""

    steps = []  # noqa: RUF012

    def __init__(self, manual=False):
        super().__init__()
        self.lr, self.automatic_optimization = 1e-3, not manual
        self.layer = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))

    def on_train_batch_start(self, batch, batch_idx):
        self.steps.append((len(batch[0]), self.trainer.accumulate_grad_batches))

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Data(pl.LightningDataModule):
    """256 samples."""

    def __init__(self, batch_size=32):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(256, 8)), batch_size=self.batch_size)


def tuned(target, data=None, module=None, callbacks=(), **fields):
    """The Trainer, the datamodule and the report of a tuning with this step."""
    registry = Registry.load()
    registry.register(lit_autotune_accumulate, name="accumulate")
    options = {"accumulate": {"target_batch_size": target}}
    switches = {"use_batch_size_tuning": False, "use_learning_rate_tuning": False, **fields}
    config = TunerConfig(steps=["accumulate"], options=options, verbose=False, **switches)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=4, enable_model_summary=False, callbacks=list(callbacks), **quiet)
    data = data or Data()
    return trainer, data, tune(trainer, module or Net(), data, config, registry=registry, save_plot=False)


@pytest.mark.parametrize(("target", "chosen"), [(96, (32, 3)), (32, (32, 1)), (8, (8, 1)), (100, (25, 4))])
def test_the_product_is_the_target(target, chosen):
    """With the present batch size as the most."""
    trainer, data, report = tuned(target)
    assert (data.batch_size, trainer.accumulate_grad_batches) == chosen
    assert report.steps["accumulate"]["target"] == chosen[0] * chosen[1]
    assert f"trainer.accumulate_grad_batches = {chosen[1]}" in report.keep


def test_what_runs_out_of_memory_is_not_taken():
    """Smaller divisors are tried, one after the other."""
    with memory_limit(40_000):
        trainer, data, report = tuned(128, Data(128), trial_isolation="none")
    assert data.batch_size * trainer.accumulate_grad_batches == 128
    assert data.batch_size < 128
    outcomes = [row[1] for row in report.tables[0].rows]
    assert outcomes[-1] == "fits"
    assert set(outcomes[:-1]) == {"out_of_memory"}


def test_between_batch_size_and_rate():
    """The size that was found bounds it; the rate is tuned at the target, and the comparison leaves that alone."""
    Net.steps.clear()
    both = {"use_batch_size_tuning": True, "use_learning_rate_tuning": True, "lr_num_training": 20}
    trainer, data, report = tuned(40, batch_size_max=16, lr_verify=False, compare=True, **both)
    assert (report.batch_size.largest, report.batch_size.chosen) == (16, 10)
    assert (data.batch_size, trainer.accumulate_grad_batches) == (10, 4)
    assert max(size for size, accumulated in Net.steps if accumulated == 4) == 10
    assert {one.batch_size for one in report.comparison.values} == {10}
    assert (report.plan.batch_size, report.plan.accumulate_grad_batches) == (10, 4)
    assert len(report.keep) == len(set(report.keep)) == 3


def test_a_target_that_divides_badly_is_said():
    """With one nearby that divides better."""
    with pytest.warns(UserWarning, match="target_batch_size = 96 would take larger ones"):
        _, data, _ = tuned(97)
    assert data.batch_size == 1


@pytest.mark.parametrize(
    ("make", "target", "told"),
    [
        (lambda: {"module": Net(manual=True)}, 64, "manual optimization"),
        (lambda: {"callbacks": [GradientAccumulationScheduler({0: 2})]}, 64, "would undo it"),
        (lambda: {}, 512, "an epoch has only 8 batches of 32 on each of 1 devices.*try 256"),
        (lambda: {"data": Data(None)}, 64, "has no value to begin with"),
        (lambda: {}, 0, "target_batch_size"),
        (lambda: {}, None, "set options.accumulate.target_batch_size"),
    ],
)
def test_what_is_refused(make, target, told):
    """With what to do."""
    with pytest.raises(ConfigError, match=told):
        tuned(target, **make())


@pytest.mark.parametrize("check", plugin_checks(), ids=lambda check: check.__name__)
def test_conformance(check):
    """The plugin keeps the contract of lit-autotune."""
    check(lit_autotune_accumulate)
