"""The property everything leans on: tuning changes two numbers and nothing else."""

import copy
import functools
import gc
import hashlib
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import nn

from lit_autotune import ConfigError, TunerConfig, tune
from support.models import Blobs, Net, RandomBlobs, RandomNet, blobs, quiet_trainer

pytestmark = pytest.mark.slow

CONFIG = {
    "use_batch_size_tuning": True,
    "batch_size_max": 64,
    "use_learning_rate_tuning": True,
    "lr_num_training": 40,
    "lr_min": 1e-5,
    "verbose": False,
}

SCRIPT = """
import hashlib, json, sys
sys.path.insert(0, {folder!r})
import lightning.pytorch as pl
import torch
from lit_autotune import TunerConfig
from support.models import RandomBlobs, RandomNet, quiet_trainer
values, config = json.loads(sys.argv[1])
torch.set_num_threads(1)

def trained(manual):
    pl.seed_everything(5, verbose=False)
    module, data, trainer = RandomNet(manual=manual), RandomBlobs(), quiet_trainer(max_epochs=3)
    if values:
        data.hparams.batch_size, module.hparams.learning_rate = values[manual]
    else:
        TunerConfig(**config).run_tuning(trainer, module, data)
    trainer.fit(module, datamodule=data)
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    for state in trainer.optimizers[0].state.values():
        digest.update(state["exp_avg"].numpy().tobytes())
    found = [digest.hexdigest(), module.seen, float(module.accuracy.compute()), trainer.global_step]
    return found, [data.hparams.batch_size, module.hparams.learning_rate]

print(json.dumps([trained(False), trained(True)]))
"""


@functools.cache
def in_fresh_process(values=None):
    """What a module with automatic optimization and one without come to, each with its values; tuned if none given."""
    script = SCRIPT.format(folder=str(Path(__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, json.dumps([values, CONFIG])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("manual", [False, True], ids=["automatic", "manual optimization"])
def test_fit_after_tuning_is_bit_identical_to_fit_without(manual):
    """Weights, optimizer state, counters, metrics: all as in a fresh process with the two values set by hand."""
    tuned = in_fresh_process()
    assert tuned[manual][1] != [16, 1e-3]
    plain = in_fresh_process(tuple(tuple(values) for _, values in tuned))
    assert tuned[manual] == plain[manual]


def fingerprint(value):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in value.state_dict().values())).hexdigest()


def test_users_objects_keep_all_but_the_two_values():
    """Weights, hyperparameters, counters, generator, callbacks, loggers, loops and limits stay as they were."""
    trainer = quiet_trainer(max_epochs=7, callbacks=[pl.callbacks.EarlyStopping("val_loss")], limit_val_batches=3)
    module, data = RandomNet(), RandomBlobs()
    weights, state = fingerprint(module), data.generator.get_state()
    callbacks = list(trainer.callbacks)
    before = copy.copy(vars(trainer))
    report = tune(trainer, module, data, TunerConfig(**CONFIG))
    assert fingerprint(module) == weights
    assert torch.equal(data.generator.get_state(), state)
    assert module.hparams == {"learning_rate": report.learning_rate.chosen, "manual": False}
    assert data.hparams == {"batch_size": report.batch_size.chosen}
    assert module.seen == 0
    assert module.training
    assert module._trainer is None
    assert not hasattr(data, "train")
    assert data.trainer is None
    assert trainer.callbacks == callbacks
    assert vars(trainer) == before
    assert (trainer.max_epochs, trainer.max_steps, trainer.limit_val_batches, trainer.global_step) == (7, -1, 3, 0)


def test_process_stays_as_it_was():
    """Random state, gradient mode, log levels and signal handlers are the same after as before."""
    objects = quiet_trainer(), RandomNet(), RandomBlobs()
    loggers = ("lightning.pytorch", "lightning.fabric")

    def state():
        return (
            random.getstate(),
            np.random.get_state()[1].tobytes(),
            torch.get_rng_state().numpy().tobytes(),
            torch.is_grad_enabled(),
            signal.getsignal(signal.SIGINT),
            signal.getsignal(signal.SIGTERM),
            [logging.getLogger(name).level for name in loggers],
        )

    with torch.no_grad():
        before = state()
        tune(*objects, TunerConfig(**CONFIG))
        assert state() == before


def test_no_file_is_written_but_the_plots(tmp_path):
    """Tuning needs no disk: only the plots appear, though the Trainer logs and keeps checkpoints."""
    trainer = pl.Trainer(accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, enable_progress_bar=False)
    tune(trainer, RandomNet(), RandomBlobs(), TunerConfig(**CONFIG))
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == [os.path.join(".logs", f"{name}_plot.png") for name in ("batch_size", "lr_finder")]


def test_tuning_twice_gives_the_same_answer():
    """The second call starts from the same state as the first."""
    trainer, module, data = quiet_trainer(), RandomNet(), RandomBlobs()
    first = tune(trainer, module, data, TunerConfig(**CONFIG))
    module.hparams.learning_rate, data.hparams.batch_size = 1e-3, 16
    second = tune(trainer, module, data, TunerConfig(**CONFIG))
    assert first.learning_rate.curve == second.learning_rate.curve


@pytest.mark.parametrize(
    "hook",
    ["setup", "configure_optimizers", "on_train_start", "training_step", "on_train_epoch_end", "validation_step"],
)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_users_exception_arrives_unwrapped_and_nothing_has_changed(hook, error):
    """Whatever a hook raises, Ctrl-C included, comes out as it is; the objects are as before; the next fit works."""

    def fail(*args, **kwargs):
        raise error("from the user's code")

    module, data = RandomNet(), RandomBlobs()
    weights = fingerprint(module)
    original = getattr(module, hook)
    setattr(module, hook, fail)
    trainer = quiet_trainer(max_epochs=1)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(error, match=None if error is KeyboardInterrupt else "from the user's code"):
        tune(trainer, module, data, TunerConfig(**CONFIG | {"batch_size_init_val": 32}))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert fingerprint(module) == weights
    assert (module.hparams.learning_rate, data.hparams.batch_size) == (1e-3, 16)
    setattr(module, hook, original)
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 13


@pytest.mark.parametrize("batch_size", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_that_nobody_holds_keeps_nothing_alive(error, batch_size):
    """Its frames have loaders, whose workers would go on; they must not wait for the garbage collector."""

    class Loader:
        """Stands for an iterator with workers."""

    class Failing(Net):
        def training_step(self, batch, batch_idx):
            loader = Loader()
            loaders.append(weakref.ref(loader))
            raise error

    loaders = []
    gc.collect()
    gc.disable()
    try:
        tune(quiet_trainer(), Failing(), Blobs(), TunerConfig(**CONFIG | {"use_batch_size_tuning": batch_size}))
        raise AssertionError("the error was lost")
    except error:
        pass
    finally:
        gc.enable()
    assert loaders
    assert all(loader() is None for loader in loaders)


def test_a_module_trained_before_can_be_tuned():
    """A Trainer and a module that were fitted, and keep results of it, are tuned from where they are."""
    module, data, trainer = RandomNet(), RandomBlobs(), quiet_trainer(max_epochs=1)
    trainer.fit(module, datamodule=data)
    module.last_logits = module.network(torch.zeros(4, 8))
    weights, steps = fingerprint(module), trainer.global_step
    report = tune(trainer, module, data, TunerConfig(**CONFIG))
    assert report.batch_size.largest == 64
    assert len(report.learning_rate.curve.losses) == 40 or report.learning_rate.curve.diverged
    assert fingerprint(module) == weights
    assert trainer.global_step == steps


def test_data_are_prepared_and_set_up_once(tmp_path):
    """prepare_data and setup run once for the whole tuning, not once per trial; teardown once at the end."""
    log = tmp_path / "hooks.txt"

    class Counting(RandomBlobs):
        def note(self, hook):
            with log.open("a") as file:
                file.write(hook + "\n")

        def prepare_data(self):
            self.note("prepare_data")

        def setup(self, stage):
            self.note("setup")
            super().setup(stage)

        def teardown(self, stage):
            self.note("teardown")

    tune(quiet_trainer(), RandomNet(), Counting(), TunerConfig(**CONFIG))
    assert log.read_text().split() == ["prepare_data", "setup", "teardown"]


def test_module_without_datamodule(tmp_path):
    """A module that brings its own loaders and its own batch size is tuned alone."""

    class Alone(Net):
        batch_size = 8

        def setup(self, stage):
            self.data = RandomBlobs()
            self.data.setup("fit")

        def train_dataloader(self):
            return torch.utils.data.DataLoader(self.data.train, batch_size=self.batch_size)

    module = Alone()
    size, rate = TunerConfig(**CONFIG).run_tuning(quiet_trainer(), module)
    assert (module.batch_size, module.lr) == (size, rate)
    assert size == 8


def test_trainer_that_had_a_datamodule_before():
    """A Trainer that has fitted with a datamodule tunes a module with loaders of its own, and keeps that datamodule."""

    class WithData(Net):
        def train_dataloader(self):
            return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*blobs()), batch_size=16)

    trainer, data = quiet_trainer(max_epochs=1), Blobs()
    trainer.fit(Net(), datamodule=data)
    report = tune(
        trainer, WithData(), config=TunerConfig(use_learning_rate_tuning=True, verbose=False), save_plot=False
    )
    assert report.learning_rate.curve.losses
    assert trainer.datamodule is data


def test_handles_in_a_module_are_shared_with_its_copies():
    """A lock, an open file or a database connection in the module does not keep it from being tuned."""
    module = Net()
    module.setup = lambda stage: None  # so that later copies are made from one that is set up
    module.lock, module.nested = threading.Lock(), {"database": sqlite3.connect(":memory:")}
    module.network[0].file = open("log.txt", "w")  # noqa: SIM115
    lock = module.lock
    with module.network[0].file:
        tune(quiet_trainer(), module, Blobs(), TunerConfig(**CONFIG))
        assert module.lock is lock
        module.nested["database"].execute("select 1")
        module.network[0].file.write("still open")


class Stubborn(nn.Linear):
    """A network that refuses to be copied, as some with foreign parts do."""

    def __deepcopy__(self, memo):
        raise RuntimeError("only one of me")


def test_what_can_neither_be_copied_nor_shared_is_refused_by_name():
    """A running generator or an uncopyable network in the module: the message names the attribute."""
    module = Net()
    module.extra = nn.ModuleDict({"head": Stubborn(1, 1)})
    with pytest.raises(ConfigError, match=r"module\._modules\['extra'\].*head.* cannot be copied \(only one of me\)"):
        tune(quiet_trainer(), module, Blobs(), TunerConfig(**CONFIG))
    module = Net()
    module.stream = (i for i in range(3))
    with pytest.raises(ConfigError, match=r"module\.stream cannot be copied .*keep a function that makes it"):
        tune(quiet_trainer(), module, Blobs(), TunerConfig(**CONFIG))
    assert next(module.stream) == 0
