"""What users of Lightning's tuner complained about, by the numbers of their issues, where no other test shows it."""

import functools

import lightning.pytorch as pl
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EarlyStopping,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger, Logger
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from lit_autotune import ConfigError, Tuner
from lit_autotune.comparison.first_steps import FIRST_STEPS
from support import tuning
from support.models import AS_FOUND, Blobs, Net, RandomBlobs, RandomNet, quiet_trainer
from support.rigged import fitted

CONFIG = {**AS_FOUND, "batch_size_max": 32, "lr_min": 1e-5, "lr_num_training": 40, "verbose": False}
QUICK = {"min_lr": 1e-5, "num_training": 40}


def tuned(*objects, **fields):
    """Tune both, unless a field says otherwise."""
    return tuning.tuned(*objects, save_plot=False, **{**tuning.BOTH, **CONFIG, **fields})


class Validated(Blobs):
    """With validation batches of the same size."""

    def val_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size)


class ValidatedNet(Net):
    """Logs a validation loss."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))


# --- batch size ---


def test_range_test_runs_once_and_not_in_each_trial():
    """3088: a trial is three steps; but for its first steps, the range test runs after the last one only."""
    sizes = []

    class Sizes(Net):
        def training_step(self, batch, batch_idx):
            sizes.append(len(batch[1]))
            return super().training_step(batch, batch_idx)

    report = tuned(Sizes(), Blobs(samples=1024))
    points = len(report.learning_rate.curve.losses)
    trials = [size for size in (2, 4, 8, 16, 32) for _ in range(3)]
    assert sizes == [2] * FIRST_STEPS + trials + [32] * points


def test_datamodule_inside_another():
    """6335, pyannote 516: the batch size of a wrapped datamodule is found, and the wrapped one trains with it."""

    class Wrapper(pl.LightningDataModule):
        def __init__(self):
            super().__init__()
            self.inner = Blobs()

        def setup(self, stage):
            self.inner.setup(stage)

        def train_dataloader(self):
            return self.inner.train_dataloader()

    data = Wrapper()
    assert tuned(Net(), data).batch_size.chosen == data.inner.batch_size == 32


def test_plateau_on_the_validation_loss():
    """9012, 20355: a scheduler that waits for a validation loss disturbs neither step, nor the later fit."""

    class Plateau(ValidatedNet):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            scheduler = ReduceLROnPlateau(optimizer, patience=0)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}

    module, data, trainer = Plateau(), Validated(), quiet_trainer()
    assert tuned(module, data, trainer).batch_size.chosen == 32
    trainer.fit(module, datamodule=data)
    assert trainer.current_epoch == 2


def test_sizes_for_training_and_validation_apart():
    """9219, 20562: each of several attributes can be tuned by itself, for what it is used for."""

    class Two(Blobs):
        def __init__(self):
            super().__init__()
            del self.batch_size
            self.train_batch_size = self.val_batch_size = 16

        def train_dataloader(self):
            return DataLoader(self.data, batch_size=self.train_batch_size)

        def val_dataloader(self):
            return DataLoader(self.data, batch_size=self.val_batch_size)

    class Limited(ValidatedNet):
        def training_step(self, batch, batch_idx):
            if torch.is_grad_enabled() and len(batch[1]) > 8:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().training_step(batch, batch_idx)

    data, tuner = Two(), Tuner(quiet_trainer())
    tuner.scale_batch_size(Limited(), datamodule=data, method="validate", batch_arg_name="val_batch_size", max_val=64)
    tuner.scale_batch_size(Limited(), datamodule=data, batch_arg_name="train_batch_size", max_val=64)
    assert (data.train_batch_size, data.val_batch_size) == (8, 64)


def test_validation_uses_the_size_found():
    """9832: a validation loader that reads the same attribute gets the size, too."""
    sizes = []

    class Sizes(ValidatedNet):
        def validation_step(self, batch, batch_idx):
            sizes.append(len(batch[1]))

    module, data, trainer = Sizes(), Validated(), quiet_trainer(max_epochs=1)
    tuned(module, data, trainer)
    sizes.clear()
    trainer.fit(module, datamodule=data)
    assert set(sizes) == {32}


class Buckets:
    """A batch sampler of the user's own, without the attributes that torch's has."""

    def __init__(self, samples, size):
        self.samples, self.size = samples, size

    def __iter__(self):
        return iter(torch.randperm(self.samples).split(self.size))

    def __len__(self):
        return -(-self.samples // self.size)


def test_batch_sampler_of_any_kind():
    """17793: a batch sampler without a batch_size attribute works, if the loader hook makes it from the setting."""

    class Sampled(Blobs):
        def train_dataloader(self):
            return DataLoader(self.data, batch_sampler=Buckets(self.samples, self.batch_size))

    data, module, trainer = Sampled(), Net(), quiet_trainer(max_epochs=1)
    assert tuned(module, data, trainer, batch_size_mode="binsearch").batch_size.chosen == 32
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 8
    assert tuned(Net(), Sampled(), batch_size_max=None, batch_size_mode="binsearch").batch_size.chosen == 256


@pytest.mark.parametrize("limit", [2, 0.5, 1.0])
def test_limit_val_batches_is_the_users(limit):
    """18394, 18834, 18854, 17412: the fit after the tuning validates as many batches as the Trainer says."""

    class Counting(ValidatedNet):
        def on_validation_epoch_start(self):
            self.count = 0

        def on_validation_batch_end(self, outputs, batch, batch_idx):
            self.count += 1

    module, data = Counting(), Validated()
    trainer = quiet_trainer(max_epochs=1, limit_val_batches=limit)
    tuned(module, data, trainer)
    trainer.fit(module, datamodule=data)
    assert module.count == (limit if isinstance(limit, int) else int(8 * limit))


@pytest.mark.parametrize("mode", ["power", "binsearch", "predictive"])
@pytest.mark.parametrize("trials", [1, 2, 3])
def test_size_returned_was_run_however_the_search_ends(mode, trials):
    """18426, 21187: running out of trials never gives a size that nobody tried."""
    fields = {"batch_size_max": None, "batch_size_max_trials": trials, "use_learning_rate_tuning": False}
    result = tuned(Net(), Blobs(samples=1000), batch_size_mode=mode, **fields).batch_size
    assert result.chosen in {trial.batch_size for trial in result.trials if trial.fits}


def test_full_data_set_can_be_tried_first():
    """19850: with an initial value as large as the data two trials say that everything fits."""
    fields = {"batch_size_init_val": 10**6, "batch_size_max": None, "use_learning_rate_tuning": False}
    result = tuned(Net(), Blobs(samples=1000), **fields).batch_size
    assert result.chosen == 1000
    assert len(result.trials) == 1


# --- learning rate ---


class Recorder(Logger):
    """A logger that notes what it is asked to do; its run on a server is begun by the first look at it."""

    name, version = "recorder", 0

    def __init__(self):
        super().__init__()
        self.begun, self.images, self.metrics, self.params = 0, [], [], {}

    @property
    def experiment(self):
        self.begun += 1
        return self

    def log_image(self, key, images):
        self.images.append((key, images))

    def log_metrics(self, metrics, step=None):
        self.metrics.append(metrics)

    def log_hyperparams(self, params):
        self.params.update(params)


class Drawing(ValidatedNet):
    """Logs an image in each epoch."""

    def on_train_epoch_end(self):
        self.logger.experiment.log_image("weights", [self.current_epoch])


def test_logger_is_left_alone_while_tuning_and_whole_afterwards():
    """1919: no run is begun and nothing logged while tuning; afterwards images and metrics are logged."""
    logger = Recorder()
    module, data, trainer = Drawing(), Validated(), quiet_trainer(logger=logger, log_every_n_steps=1)
    tuned(module, data, trainer)
    assert (logger.begun, logger.images, logger.metrics, logger.params) == (0, [], [], {})
    trainer.fit(module, datamodule=data)
    assert logger.images == [("weights", [0]), ("weights", [1])]
    assert any("val_loss" in metrics for metrics in logger.metrics)


def test_validation_loss_for_the_range_test_is_refused():
    """1975: the range test does not validate; a validation loss as lr_monitor is refused, with what there is."""

    class Logging(ValidatedNet):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            if self.trainer.training:
                self.log("train_loss", loss)
            return loss

    with pytest.raises(ConfigError, match=r"lr_monitor = 'val_loss': training_step does not log it.*train_loss"):
        tuned(Logging(), Validated(), lr_monitor="val_loss")


def test_loggers_and_monitors_show_the_values_found(tmp_path):
    """3219, 15928, 15856: hparams.yaml and LearningRateMonitor of the fit after the tuning have the new values."""

    class Plain(RandomNet):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)

    logger, monitor = CSVLogger(tmp_path), LearningRateMonitor()
    module, data = Plain(), RandomBlobs()
    trainer = quiet_trainer(logger=logger, callbacks=[monitor], max_epochs=1, log_every_n_steps=1)
    report = tuned(module, data, trainer)
    trainer.fit(module, datamodule=data)
    with open(f"{logger.log_dir}/hparams.yaml") as file:
        logged = yaml.safe_load(file)
    assert (logged["learning_rate"], logged["batch_size"]) == (report.learning_rate.chosen, 32)
    assert set(monitor.lrs["lr-Adam"]) == {report.learning_rate.chosen}


@pytest.mark.parametrize(
    "limits", [{"max_epochs": 1}, {"max_epochs": 0}, {"max_steps": 2}, {"limit_train_batches": 1}], ids=str
)
def test_short_data_are_no_divergence(limits, capsys):
    """5044, 11375: where epochs are short, or the Trainer's end is near, the curve is whole and not called diverged."""

    class Bounded(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx).tanh()

    trainer = quiet_trainer(**limits)
    fields = {"use_batch_size_tuning": False, "verbose": True}
    curve = tuned(Bounded(), Blobs(samples=20), trainer, **fields).learning_rate.curve
    assert (len(curve.losses), curve.diverged) == (40, False)
    assert "diverged" not in capsys.readouterr().out


def test_trainer_without_progress_bar_keeps_the_tuner_silent(capsys, recwarn):
    """darts 2334, 13026: without a progress bar nothing is printed; where enough steps are left there is no warning."""
    trainer = quiet_trainer(max_epochs=100)
    capsys.readouterr()
    tuner = Tuner(trainer)
    tuner.scale_batch_size(Net(), datamodule=Blobs(samples=1000), max_val=32)
    tuner.scale_batch_size(ValidatedNet(), datamodule=Validated(), method="validate", max_val=32)
    tuner.lr_find(Net(), datamodule=Blobs(), **QUICK)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert not [str(warning.message) for warning in recwarn if "lit_autotune" in warning.filename]


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda optimizer, lr: StepLR(optimizer, 10),
        lambda optimizer, lr: CosineAnnealingLR(optimizer, 100),
        lambda optimizer, lr: LambdaLR(optimizer, lambda step: 0.5),
        lambda optimizer, lr: OneCycleLR(optimizer, max_lr=lr, total_steps=100),
    ],
    ids=["StepLR", "CosineAnnealingLR", "LambdaLR", "OneCycleLR"],
)
def test_rate_found_survives_schedulers(scheduler):
    """16787, 21030: schedulers of the fit after the tuning are built around the rate that was found."""

    class Scheduled(Net):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(
                [
                    {"params": self.network[0].parameters(), "lr": self.lr},
                    {"params": self.network[2].parameters(), "lr": self.lr},
                ],
                lr=self.lr,
            )
            return [optimizer], [{"scheduler": scheduler(optimizer, self.lr), "interval": "step"}]

    module, data, trainer = Scheduled(), Blobs(), quiet_trainer(max_epochs=1)
    found = tuned(module, data, trainer).learning_rate.chosen
    trainer.fit(module, datamodule=data)
    for group in trainer.optimizers[0].param_groups:
        assert group.get("max_lr", group["initial_lr"]) == pytest.approx(found)


def test_steps_without_a_loss_are_missing_points():
    """18129: a training_step that now and then returns None leaves holes in the curve, and there is a suggestion."""
    skipped = [5, 12, 17]

    class Skipping(Net):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            return None if self.trainer.global_step in skipped else loss

    module = Skipping()
    finder = Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), early_stop_threshold=None, **QUICK)
    assert len(finder.results["loss"]) == 40
    assert [i for i, loss in enumerate(finder.results["loss"]) if loss != loss] == skipped
    assert module.lr == finder.suggestion() > 0


@pytest.mark.parametrize("kind", ["partial", "optimizer_kwargs", "method"])
def test_rate_inside_of_what_makes_the_optimizer(kind):
    """19949, darts 1403: the rate may be kept in a partial, a dictionary of arguments, or behind a setter."""

    class Made(Net):
        def __init__(self):
            super().__init__()
            del self.lr
            if kind == "partial":
                self.make = functools.partial(torch.optim.Adam, lr=1e-3)
            else:
                self.optimizer_kwargs = {"lr": 1e-3}

        @property
        def eta(self):
            return self.optimizer_kwargs["lr"]

        @eta.setter
        def eta(self, value):
            self.optimizer_kwargs = {"lr": value}

        def configure_optimizers(self):
            make = self.make if kind == "partial" else functools.partial(torch.optim.Adam, **self.optimizer_kwargs)
            return make(self.parameters())

    module, data, trainer = Made(), Blobs(), quiet_trainer(max_epochs=1)
    places = {"partial": "make.keywords.lr", "optimizer_kwargs": None, "method": "eta"}
    found = tuned(module, data, trainer, lr_attribute=places[kind]).learning_rate.chosen
    trainer.fit(module, datamodule=data)
    assert trainer.optimizers[0].param_groups[0]["lr"] == found != 1e-3


class WithBackbone(Net):
    """For BackboneFinetuning, as its documentation asks for."""

    def __init__(self):
        super().__init__()
        self.backbone, self.network = self.network, nn.Linear(3, 3)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.network(self.backbone(batch[0])), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(filter(lambda p: p.requires_grad, self.parameters()), lr=self.lr)


def test_backbone_finetuning():
    """14674, 21224: the backbone is frozen in trials as in the fit, and thaws when it should."""
    finetuning = BackboneFinetuning(unfreeze_backbone_at_epoch=1, backbone_initial_ratio_lr=0.1)
    module, data = WithBackbone(), Blobs()
    trainer = quiet_trainer(callbacks=[finetuning], max_epochs=1)
    tuned(module, data, trainer)
    assert all(parameter.requires_grad for parameter in module.parameters())
    trainer.fit(module, datamodule=data)
    assert [parameter.requires_grad for parameter in module.backbone.parameters()] == [False] * 4
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, datamodule=data)
    assert [parameter.requires_grad for parameter in module.backbone.parameters()] == [True] * 4


def test_early_stopping_and_checkpoints_start_afresh(tmp_path):
    """1650, 19575: after the tuning, EarlyStopping and ModelCheckpoint do what they do without."""

    def fit(tuning):
        pl.seed_everything(5, verbose=False)
        stopping = EarlyStopping("val_loss", patience=1, min_delta=10.0)
        checkpoint = ModelCheckpoint(tmp_path / str(tuning), monitor="val_loss", save_top_k=2, save_last=True)
        callbacks = [stopping, checkpoint]
        trainer = quiet_trainer(callbacks=callbacks, enable_checkpointing=True, max_epochs=9)
        module, data = RandomNet(), RandomBlobs()
        if tuning:
            tuned(module, data, trainer, batch_size_max=16, update_model_lr=False)
            assert (stopping.wait_count, checkpoint.best_model_path) == (0, "")
            assert not list(tmp_path.glob("True/*"))
        trainer.fit(module, datamodule=data)
        files = sorted(path.name for path in (tmp_path / str(tuning)).iterdir())
        return files, trainer.current_epoch, stopping.stopped_epoch, float(checkpoint.best_model_score)

    assert fit(True) == fit(False)


# --- the middle of a training ---


class InBetween(pl.Callback):
    """Tunes at the start of the second epoch."""

    report = None

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.report = tuned(pl_module, trainer.datamodule, trainer, update_model_lr=False, batch_size_max=16)


def test_tuning_in_the_middle_of_a_training():
    """4846, 15603, 20008, 21903: both steps do all they do elsewhere, from the weights as they are; the training goes
    on as if nothing had been.
    """

    def train(*callbacks):
        pl.seed_everything(5, verbose=False)
        return fitted(quiet_trainer(max_epochs=3, callbacks=[*callbacks]), RandomNet(), RandomBlobs())

    between = InBetween()
    assert train(between) == train()
    assert [trial.batch_size for trial in between.report.batch_size.trials] == [2, 4, 8, 16]
    assert len(between.report.learning_rate.curve.losses) > 20


def test_tuning_in_the_middle_of_a_training_says_what_it_cannot_change():
    """20008: optimizers and loaders that exist already do not follow the attributes; the user is told."""

    class Applying(InBetween):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                self.report = tuned(pl_module, trainer.datamodule, trainer)

    between = Applying()
    with pytest.warns(UserWarning, match=r"the Trainer is running.*optimizers"):
        quiet_trainer(callbacks=[between]).fit(Net(), datamodule=Blobs())
    assert between.report.batch_size.chosen == 32


@pytest.mark.parametrize("finder", [BatchSizeFinder, LearningRateFinder])
def test_lightnings_own_finder_in_the_trainer(finder):
    """pytorch-forecasting 1863: a Trainer that has Lightning's finder as a callback can be tuned, before and again."""
    trainer, module = quiet_trainer(callbacks=[finder()]), Net()
    for _ in range(2):
        assert tuned(module, Blobs(), trainer).learning_rate.chosen == module.lr
    assert len(trainer.callbacks) == 1


def test_manual_optimization_sweeps_the_rates():
    """Found in 2.6.6, where the rate stays at its minimum: by hand, too, each step has its rate, and one is found."""
    rates = []

    class Manual(RandomNet):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            rates.append(self.optimizers().param_groups[0]["lr"])

    module = Manual(manual=True)
    report = tuned(module, RandomBlobs(), use_batch_size_tuning=False)
    assert rates == pytest.approx(list(report.learning_rate.curve.learning_rates))
    assert module.hparams.learning_rate > 1e-4
