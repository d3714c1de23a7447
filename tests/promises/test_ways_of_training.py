"""Every way people train: batch size and learning rate are found for each, or refused in one sentence."""

import sqlite3
import threading

import numpy as np
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import CombinedLoader
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import ConfigError, TuningError
from support import tuning
from support.models import AS_FOUND, Blobs, Net, blobs, quiet_trainer

FIELDS = {**tuning.BOTH, **AS_FOUND, "batch_size_max": 32, "lr_min": 1e-5, "lr_num_training": 40}


def tuned(*objects, **fields):
    return tuning.tuned(*objects, **{**FIELDS, **fields})


class Validated(Blobs):
    def val_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size)


class ValidatedNet(Net):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", super().training_step(batch, batch_idx))


@pytest.mark.parametrize(
    "arguments",
    [
        {"callbacks": [WeightAveraging()]},
        {"callbacks": [StochasticWeightAveraging(swa_lrs=1e-2)]},
        {"callbacks": [GradientAccumulationScheduler({0: 2, 1: 4})]},
        {"callbacks": [EarlyStopping("val_loss"), LearningRateMonitor(), ModelCheckpoint()], "logger": True},
        {"reload_dataloaders_every_n_epochs": 1},
        {"overfit_batches": 2},
        {"overfit_batches": 0.2},
        {"limit_train_batches": 3},
        {"precision": "bf16-mixed"},
        {"precision": "64-true"},
        {"val_check_interval": 4},
        {"val_check_interval": 4, "check_val_every_n_epoch": None},
        {"profiler": "simple", "detect_anomaly": True},
        {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"},
    ],
    ids=lambda arguments: ", ".join(
        str(value) if name != "callbacks" else type(value[0]).__name__ for name, value in arguments.items()
    ),
)
def test_trainers_of_all_kinds(arguments):
    """Callbacks, limits, precisions and clipping of the Trainer do not keep it from being tuned."""
    trainer = quiet_trainer(**{"enable_checkpointing": True, **arguments})
    report = tuned(ValidatedNet(), Validated(), trainer)
    assert report.batch_size.chosen == 32
    assert 1e-4 < report.learning_rate.chosen < 1


class Gan(Net):
    """Two optimizers by hand; training_step returns nothing and logs its losses."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = nn.Linear(8, 8), nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        for_generator, for_discriminator = self.optimizers()
        real = batch[0]
        fake = self.generator(real)
        loss_d = F.softplus(self.discriminator(fake.detach())).mean() + F.softplus(-self.discriminator(real)).mean()
        for_discriminator.zero_grad()
        self.manual_backward(loss_d)
        for_discriminator.step()
        loss_g = F.softplus(-self.discriminator(fake)).mean()
        for_generator.zero_grad()
        self.manual_backward(loss_g)
        for_generator.step()
        self.log_dict({"loss_g": loss_g, "loss_d": loss_d})

    def configure_optimizers(self):
        return [torch.optim.Adam(part.parameters(), lr=self.lr) for part in (self.generator, self.discriminator)], []


def test_gan_without_a_loss_says_what_to_do():
    """A training_step that returns nothing gets an error that names lr_monitor and what is logged."""
    with pytest.raises(TuningError, match=r"name a logged value with lr_monitor \(it logs loss_d, loss_g\)"):
        tuned(Gan(), Blobs())


def test_gan_with_a_monitored_loss():
    """lr_monitor names the logged loss, lr_optimizer_index the optimizer; the other one keeps its rate."""
    rates = []

    class Watched(Gan):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            rates.append([optimizer.param_groups[0]["lr"] for optimizer in self.optimizers()])

    report = tuned(Watched(), Blobs(), lr_monitor="loss_d", lr_optimizer_index=1)
    swept = rates[-len(report.learning_rate.curve.losses) :]
    assert {low for low, _ in swept} == {1e-3}
    assert [high for _, high in swept] == pytest.approx(list(report.learning_rate.curve.learning_rates))


def test_monitored_value_that_is_not_logged():
    """A name that is not logged is an error that lists what is."""
    with pytest.raises(ConfigError, match="logged are loss_d, loss_g; did you mean 'loss_d'"):
        tuned(Gan(), Blobs(), lr_monitor="los_d")


def test_optimizer_that_does_not_exist():
    """An index beyond the optimizers is refused before anything is tuned."""
    with pytest.raises(ConfigError, match="there are 2 optimizers"):
        tuned(Gan(), Blobs(), lr_monitor="loss_d", lr_optimizer_index=2)


def test_compiled_module():
    """A module wrapped by torch.compile is tuned, and the values reach it."""
    module = torch.compile(Net(), backend="eager")
    report = tuned(module, Blobs())
    assert module.lr == report.learning_rate.chosen


def test_layers_made_in_configure_model():
    """Layers that appear only in configure_model are there in each trial, and not in the user's module."""

    class Late(Net):
        def __init__(self):
            super().__init__()
            self.network = None

        def configure_model(self):
            if self.network is None:
                self.network = nn.Linear(8, 3)

    module = Late()
    assert tuned(module, Blobs()).batch_size.chosen == 32
    assert module.network is None


def test_combined_loader():
    """A CombinedLoader of the user's own keeps its mode."""

    class Both(Blobs):
        def train_dataloader(self):
            return CombinedLoader({"a": super().train_dataloader(), "b": super().train_dataloader()}, "min_size")

    class BothNet(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch["a"], batch_idx)

    assert tuned(BothNet(), Both()).batch_size.chosen == 32


def test_training_step_that_draws_its_own_batches():
    """A training_step with a dataloader_iter argument works."""

    class Drawing(Net):
        def training_step(self, dataloader_iter):
            batch, _, _ = next(dataloader_iter)
            return super().training_step(batch, 0)

    assert tuned(Drawing(), Blobs()).batch_size.chosen == 32


def test_module_that_looks_at_its_logger():
    """Hooks may use the logger's folder and experiment; during trials nothing is written there."""

    class Looking(Net):
        def on_train_start(self):
            assert self.logger.log_dir.endswith(folder)
            assert self.logger.log_dir != folder
            self.logger.experiment.add_scalar("a", 1)
            self.logger.log_metrics({"a": 1})

    logger = CSVLogger("logs")
    folder = logger.log_dir
    assert tuned(Looking(), Blobs(), quiet_trainer(logger=logger)).batch_size.chosen == 32


def test_datamodule_with_handles(tmp_path):
    """Locks, open files and databases are shared with the copies; generators of numbers are not."""

    class Handles(Blobs):
        def __init__(self):
            super().__init__()
            self.lock, self.file = threading.Lock(), (tmp_path / "log").open("w")
            self.database = sqlite3.connect(":memory:", check_same_thread=False)
            self.random = np.random.default_rng(1)

        def train_dataloader(self):
            self.random.random()
            return super().train_dataloader()

    data = Handles()
    assert tuned(Net(), data).batch_size.chosen == 32
    assert data.random.random() == np.random.default_rng(1).random()
    assert data.database.execute("select 1").fetchone() == (1,)
    assert not data.file.closed
    data.file.close()


def test_running_generator_is_refused_by_name():
    """A generator that trials would use up is refused, and the attribute named."""
    data = Blobs()
    data.samples_to_come = (i for i in range(10))
    with pytest.raises(ConfigError, match=r"datamodule\.samples_to_come is a running generator"):
        tuned(Net(), data)


class OldNet(pytorch_lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.lr, self.network = 1e-3, nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class OldBlobs(pytorch_lightning.LightningDataModule):
    def __init__(self):
        super().__init__()
        self.batch_size = 16

    def train_dataloader(self):
        return DataLoader(TensorDataset(*blobs()), batch_size=self.batch_size)


def old_trainer():
    return pytorch_lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )


def test_classes_of_pytorch_lightning():
    """The older package's classes work as well as lightning.pytorch's."""
    assert tuned(OldNet(), OldBlobs(), old_trainer()).batch_size.chosen == 32


@pytest.mark.parametrize(("module", "data"), [(Net, OldBlobs), (OldNet, Blobs)])
def test_classes_of_both_packages_are_refused_by_name(module, data):
    """A mix of the two packages, which Lightning cannot run, is refused in one sentence."""
    with pytest.raises(ConfigError, match=r"is of pytorch_lightning; import both from the same package"):
        tuned(module(), data(), old_trainer())


def test_what_is_no_lightning_object_is_refused():
    """Something else in place of a Trainer, module or datamodule is an error that says so."""
    with pytest.raises(ConfigError, match="trainer must be a Lightning Trainer, not str"):
        tuned(Net(), Blobs(), "trainer")
    with pytest.raises(ConfigError, match="expected an instance of LightningModule"):
        tuned(nn.Linear(1, 1), Blobs())
    with pytest.raises(ConfigError, match="expected an instance of LightningDataModule"):
        tuned(Net(), DataLoader([1]))
