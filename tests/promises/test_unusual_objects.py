"""Modules, loggers and Trainers with unusual parts: tuned like any other, and left as they were."""

import functools
import threading

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    DeviceStatsMonitor,
    LambdaCallback,
    ModelCheckpoint,
    OnExceptionCheckpoint,
    RichProgressBar,
    Timer,
)
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from torch import nn

from lit_autotune import ConfigError
from support import tuning
from support.models import AS_FOUND, Blobs, Net, quiet_trainer

FIELDS = {**tuning.BOTH, **AS_FOUND, "batch_size_max": 32, "lr_min": 1e-5, "lr_num_training": 40}


def tuned(*objects, **fields):
    return tuning.tuned(*objects, save_plot=False, **{**FIELDS, **fields})


def assert_tuned(module, *arguments, **fields):
    """Both values are found and written, and the module's weights have never met a gradient."""
    report = tuned(module, *arguments, **fields)
    assert report.batch_size.chosen == 32
    assert module.lr == report.learning_rate.chosen
    assert all(parameter.grad is None for parameter in module.parameters())
    return report


class Lazy(Net):
    """The first layer learns its size from the first batch."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, 3))


def test_lazy_layers():
    """Layers without a size yet are tuned, and still have none afterwards."""
    module = Lazy()
    assert_tuned(module)
    assert module.network[0].has_uninitialized_params()


class Hooked(Net):
    """Collects features with a forward hook, a closure over the module itself."""

    def __init__(self):
        super().__init__()
        self.features = []
        self.network[0].register_forward_hook(lambda layer, inputs, output: self.features.append(output))

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss + 0.01 * self.features.pop().square().mean()


class Penalized(Net):
    """Keeps functions that refer to itself: a closure, a partial of one, and one in a dictionary."""

    def __init__(self):
        super().__init__()
        self.size = lambda: self.network[0].weight.abs().sum()
        self.scaled = functools.partial(lambda scale: scale * self.network[2].weight.abs().sum(), 1e-4)
        self.terms = {"bias": lambda: self.network[0].bias.abs().sum()}

    def training_step(self, batch, batch_idx):
        penalty = 1e-4 * self.size() + self.scaled() + 1e-4 * self.terms["bias"]()
        return super().training_step(batch, batch_idx) + penalty


@pytest.mark.parametrize("kind", [Hooked, Penalized])
def test_functions_that_refer_to_the_module(kind):
    """Closures of a copy refer to that copy: trials neither read nor change the user's module through them."""
    module = kind()
    assert_tuned(module)
    assert getattr(module, "features", []) == []


def test_module_and_datamodule_that_know_each_other():
    """References in both directions are kept, among the copies as among the originals."""

    class Knowing(Net):
        def training_step(self, batch, batch_idx):
            assert len(batch[1]) <= self.data.batch_size
            assert self.data.module is self
            return super().training_step(batch, batch_idx)

    module, data = Knowing(), Blobs()
    module.data, data.module = data, module
    assert_tuned(module, data)
    assert module.data is data
    assert data.module is module


def test_results_of_earlier_steps():
    """Results of a forward pass, which torch refuses to copy, may lie about in the module at any depth."""
    module = Net()
    result = module.network(torch.ones(2, 8))
    module.last, module.cache = result, {"result": result, "all": [result]}
    assert_tuned(module)
    assert module.cache["all"][0] is result


def test_scripted_layers():
    """Layers compiled by torch.jit are trained in copies like any other."""
    module = Net()
    module.network = torch.jit.script(module.network)
    assert_tuned(module)


def test_no_optimizer():
    """Without an optimizer a batch size can be found, and no learning rate, which is said in one sentence."""

    class Untrained(Net):
        def configure_optimizers(self):
            return None

    assert tuned(Untrained(), use_learning_rate_tuning=False).batch_size.chosen == 32
    with pytest.raises(ConfigError, match=r"no optimizer|0 optimizers"):
        tuned(Untrained(), use_batch_size_tuning=False)


@pytest.mark.parametrize(
    "use",
    [
        lambda logger: logger.watch(None, log="all"),
        lambda logger: logger.log_image(key="samples", images=[]),
        lambda logger: logger.log_hyperparams({"a": 1}),
        lambda logger: logger.experiment.log({"a": 1}),
        lambda logger: logger.experiment.config.update({"a": 1}),
        lambda logger: logger.experiment.add_figure("a", None, global_step=1),
        lambda logger: [].append if isinstance(logger, CSVLogger) else 1 / 0,
    ],
    ids=["watch", "log_image", "log_hyperparams", "log", "config.update", "add_figure", "isinstance"],
)
def test_what_modules_do_with_their_logger(use):
    """Hooks that use the logger as its own kind allows run in trials, too; nothing is written."""

    class Using(Net):
        def on_train_start(self):
            use(self.logger)

    assert_tuned(Using(), Blobs(), quiet_trainer(logger=CSVLogger("logs")))


def fail(*arguments):
    raise AssertionError("a callback that only watches ran in a trial")


@pytest.mark.parametrize(
    "arguments",
    [
        {"barebones": True},
        {"plugins": [AsyncCheckpointIO()], "enable_checkpointing": True},
        {"deterministic": True},
        {"inference_mode": False, "use_distributed_sampler": False},
        {"max_time": "00:00:00:01"},
        {"num_sanity_val_steps": -1},
        {
            "callbacks": [
                RichProgressBar(),
                DeviceStatsMonitor(),
                Timer("00:00:00:01"),
                LambdaCallback(on_train_batch_end=fail, on_train_end=fail),
                OnExceptionCheckpoint("exceptions"),
                ModelCheckpoint(every_n_train_steps=1),
            ],
            "enable_checkpointing": True,
            "enable_progress_bar": True,
            "logger": True,
        },
    ],
    ids=lambda arguments: ", ".join(arguments),
)
def test_trainers_with_unusual_parts(arguments, tmp_path):
    """Plugins, callbacks and limits of the Trainer's do not keep it from being tuned, and write nothing."""
    make = pl.Trainer if "barebones" in arguments else quiet_trainer
    trainer = make(accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, **arguments)
    try:
        assert_tuned(Net(), Blobs(), trainer)
    finally:
        torch.use_deterministic_algorithms(False)
    assert not list(tmp_path.iterdir())


def test_another_thread():
    """Outside of the main thread, as in some servers and notebooks, tuning works as well."""
    reports = []
    thread = threading.Thread(target=lambda: reports.append(assert_tuned(Net())))
    thread.start()
    thread.join()
    assert len(reports) == 1


def test_loop_of_the_users():
    """A fit loop of a class with arguments of its own is made anew for each copy, with its attributes."""

    class Folds(_FitLoop):
        def __init__(self, trainer, folds):
            super().__init__(trainer, max_epochs=1)
            self.folds = folds

        def on_advance_end(self):
            assert self.folds == 5
            super().on_advance_end()

    trainer = quiet_trainer()
    trainer.fit_loop = Folds(trainer, 5)
    assert_tuned(Net(), Blobs(), trainer)
    assert trainer.fit_loop.trainer is trainer
