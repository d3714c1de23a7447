"""With a data set that is really slow; what is decided, with numbers."""

import time

import lightning.pytorch as pl
import lit_autotune_workers
import pytest
import torch
from lit_autotune_workers.decide import Tried, candidates, hides, measured
from torch.utils.data import DataLoader, Dataset

from lit_autotune import ConfigError, TunerConfig, tune
from lit_autotune.registry import Registry
from lit_autotune.testing import plugin_checks


@pytest.mark.parametrize(
    ("most", "with_prefetch", "expected"),
    [
        (1, False, [(0, None), (1, None)]),
        (6, False, [(0, None), (1, None), (2, None), (4, None), (6, None)]),
        (2, True, [(0, None), (1, 2), (2, 2), (2, 4)]),
    ],
)
def test_what_is_tried(most, with_prefetch, expected):
    """The cheapest first; a longer queue last."""
    assert candidates(most, with_prefetch) == expected


def test_what_is_measured():
    """The second half, when the queues are filled: here a quarter of a step waits."""
    assert measured([9.0, 9.0, 1.0, 1.0], [9.0, 9.0, 4.0, 4.0, 4.0]) == (0.25, 4.0)
    assert measured([], [2.0]) == (0.0, 2.0)


@pytest.mark.parametrize(("waiting", "seconds", "expected"), [(0.05, 1.0, True), (0.2, 0.5, False), (0.05, 1.2, False)])
def test_what_hides(waiting, seconds, expected):
    """Little waiting, and no slower than the present: workers cost something, too."""
    assert hides(Tried(1, 2, waiting, seconds), Tried(0, None, 0.4, 1.0), 0.1) is expected


class Slow(Dataset):
    """Takes some time for each sample, as decoding an image does."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __len__(self):
        return 64

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return torch.ones(2)


class Data(pl.LightningDataModule):
    """All three settings, kept as hyperparameters or not."""

    def __init__(self, seconds=0.008, num_workers=0, persistent_workers=False, prefetch_factor=None, reads=True):
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self):
        own = self.hparams
        loading = {name: own[name] for name in ("num_workers", "persistent_workers", "prefetch_factor") if own.reads}
        return DataLoader(Slow(own.seconds), batch_size=4, **loading)


class Plain(pl.LightningDataModule):
    """No setting at all."""

    def train_dataloader(self):
        return DataLoader(Slow(0.0), batch_size=4)


class Net(pl.LightningModule):
    """A step that takes twice as long as loading its batch."""

    def __init__(self, seconds=0.064):
        super().__init__()
        self.lr, self.seconds = 0.1, seconds
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        time.sleep(self.seconds)
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def measured_with(data, module=None, **options):
    """The report of a tuning with this step alone."""
    registry = Registry.load()
    registry.register(lit_autotune_workers, name="workers")
    config = TunerConfig(
        steps=["workers"], options={"workers": {"steps": 8, "most_workers": 2, **options}}, verbose=False
    )
    switches = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=1, enable_model_summary=False, **switches)
    return tune(trainer, module or Net(), data, config, registry=registry, save_plot=False)


@pytest.mark.slow
def test_one_worker_hides_a_slow_data_set():
    """And no second one is asked for; all three settings are written."""
    data = Data()
    report = measured_with(data)
    found = report.steps["workers"]
    assert found["waiting"] > 0.2
    assert found["chosen"] == 1
    assert (data.hparams.num_workers, data.hparams.persistent_workers, data.hparams.prefetch_factor) == (1, True, 2)
    assert {place for one in report.applied for place in one.places} == {
        "datamodule.hparams.num_workers",
        "datamodule.hparams.persistent_workers",
        "datamodule.hparams.prefetch_factor",
    }
    assert [row[0] for row in report.tables[0].rows] == ["0, present", "1"]


@pytest.mark.slow
def test_nothing_changes_where_nothing_helps():
    """A data set that is slower than two workers: the setting stays, and it is said."""
    data = Data(seconds=0.01)
    report = measured_with(data, Net(seconds=0.0), steps=4)
    assert "no number that was tried hides the loading" in report.steps["workers"]["verdict"]
    assert (data.hparams.num_workers, report.applied) == (0, ())


@pytest.mark.slow
def test_nothing_changes_where_nothing_waits():
    """One try is all."""
    report = measured_with(Data(seconds=0.0), steps=4)
    assert "the least that hides the loading" in report.steps["workers"]["verdict"]
    assert (len(report.steps["workers"]["tried"]), report.applied) == (1, ())


@pytest.mark.slow
def test_a_setting_that_no_loader_reads():
    """Is refused, with what to do."""
    with pytest.raises(ConfigError, match=r"no loader reads datamodule\.hparams\.num_workers"):
        measured_with(Data(reads=False))


def test_a_datamodule_without_the_setting():
    """Likewise, before anything runs."""
    with pytest.raises(ConfigError, match="the datamodule has no num_workers"):
        measured_with(Plain())


@pytest.mark.parametrize("check", plugin_checks(), ids=lambda check: check.__name__)
def test_conformance(check):
    """The plugin keeps the contract of lit-autotune."""
    check(lit_autotune_workers)
