"""Callbacks in trials: what prepares runs on copies, what watches does not."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint, TQDMProgressBar

from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.stepper import Stepper
from support.models import Blobs, Net, quiet_trainer
from support.tuning import tuned


def trained(module, callbacks=(), steps=2):
    """The copies of some objects after a few steps on them."""
    sandbox = Sandbox(quiet_trainer(callbacks=list(callbacks)), module, Blobs())
    copies = sandbox.copies()
    run = Stepper(copies, lambda losses: run.done < steps, max_calls=10)
    sandbox.run(copies)
    assert run.done == steps
    return copies


class Freezing(pl.Callback):
    def setup(self, trainer, pl_module, stage):
        pl_module.network[0].requires_grad_(False)


class Attaching(pl.Callback):
    def on_fit_start(self, trainer, pl_module):
        pl_module.scale = 2.0


class Resizing(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        batch[0] = batch[0][:, :8]


class Clipping(pl.Callback):
    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        for parameter in pl_module.parameters():
            parameter.grad = None


class Scaled(Net):
    def training_step(self, batch, batch_idx):
        return self.scale * super().training_step(batch, batch_idx)


def test_setup_freezes():
    """What a callback's setup freezes is frozen in trials, and not in the user's module."""
    module = Net()
    copies = trained(module, [Freezing()])
    assert not copies.module.network[0].weight.requires_grad
    assert torch.equal(copies.module.network[0].weight, module.network[0].weight)
    assert module.network[0].weight.requires_grad


def test_what_training_step_needs():
    """What a callback attaches before training is there, on the copy only."""
    module = Scaled()
    trained(module, [Attaching()])
    assert not hasattr(module, "scale")


def test_hooks_of_a_step():
    """Callbacks that change the batch, or the gradients before the optimizer's step, do so in trials."""
    module = Net()
    weights = [weight.clone() for weight in module.parameters()]
    copies = trained(module, [Resizing(), Clipping()])
    assert all(map(torch.equal, weights, copies.module.parameters()))


def test_callbacks_of_the_module():
    """configure_callbacks is called for each copy, and what it gives prepares the same way."""

    class Configuring(Scaled):
        def configure_callbacks(self):
            return [Attaching(), LambdaCallback(on_train_batch_end=fail)]

    trained(Configuring())


def test_callback_setup_happens_once_to_each_copy():
    """A setup that adds to the module, beside a setup of the module's own, adds once to each copy."""

    class Adding(pl.Callback):
        def setup(self, trainer, pl_module, stage):
            pl_module.added.append(self)

    class Prepared(Net):
        def __init__(self):
            super().__init__()
            self.added = []

        def setup(self, stage):
            pass

        def on_train_start(self):
            assert len(self.added) == 1

    module = Prepared()
    tuned(module, trainer=quiet_trainer(callbacks=[Adding()]), use_batch_size_tuning=True, batch_size_max=32)
    assert module.added == []


def fail(*arguments, **keywords):
    raise AssertionError("a hook that only watches ran in a trial")


WATCHING = (
    "on_train_batch_end",
    "on_train_epoch_end",
    "on_validation_start",
    "on_validation_end",
    "on_train_end",
    "on_fit_end",
    "on_save_checkpoint",
    "on_exception",
    "teardown",
)


@pytest.mark.parametrize("hook", WATCHING)
def test_watching_hooks_do_not_run(hook):
    """Hooks that write, stop or log after a step are left out."""
    trained(Net(), [LambdaCallback(**{hook: fail})])


def test_prints_and_stops(capsys):
    """A hook that prints or stops training does neither in a trial."""

    class Loud(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            print("loud")
            trainer.should_stop = True

    trained(Net(), [Loud()], steps=3)
    assert "loud" not in capsys.readouterr().out


def test_module_finds_its_callbacks():
    """A module that looks for its own callback, or for the checkpoint's, finds a copy of it."""

    class Looking(Net):
        def on_train_start(self):
            kinds = [type(callback) for callback in self.trainer.callbacks]
            assert Attaching in kinds
            assert self.trainer.checkpoint_callback.monitor == "loss"
            assert self.trainer.early_stopping_callback.patience == 7
            assert not any(callback is own for callback in self.trainer.callbacks for own in callbacks)

    watchers = [ModelCheckpoint("checkpoints", monitor="loss"), EarlyStopping("loss", patience=7), TQDMProgressBar()]
    callbacks = [Attaching(), *watchers]
    sandbox = Sandbox(
        quiet_trainer(callbacks=callbacks, enable_checkpointing=True, enable_progress_bar=True), Looking(), Blobs()
    )
    copies = sandbox.copies()
    run = Stepper(copies, lambda losses: False, max_calls=10)
    sandbox.run(copies)
    assert run.done == 1
    assert not Path("checkpoints").exists()


def test_callback_that_cannot_be_copied():
    """What keeps a callback from being copied is shared."""

    class Holding(Attaching):
        def __init__(self):
            self.file = Path("notes").open("w")  # noqa: SIM115

    callback = Holding()
    trained(Scaled(), [callback])
    callback.file.close()


def test_error_names_what_was_left_out():
    """An error of the user's in a trial names the callbacks whose hooks did not all run."""

    class Later(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *arguments):
            pl_module.scale = 1.0

    with pytest.raises(AttributeError, match="scale") as caught:
        trained(Scaled(), [Later(), Freezing()])
    assert [note for note in caught.value.__notes__ if "Later" in note and "Freezing" not in note]
