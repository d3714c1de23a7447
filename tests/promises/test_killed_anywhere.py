"""Tuning killed in every hook, by an error or Ctrl-C: it comes out as it is, and nothing has changed."""

import functools
from collections import Counter
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.core import hooks as lightning_hooks

from lit_autotune import TunerConfig, tune
from lit_autotune.copies.callbacks import PREPARING
from lit_autotune.planning import preview as comparison
from support.models import Augmented, RandomBlobs, RandomNet, quiet_trainer
from support.rigged import CONFIG, Alone, fitted, rigged, state

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch):
    """How long races are, and so how often hooks are called, must not depend on the machine's load."""
    monkeypatch.setattr(comparison, "SECONDS", 60.0)


class Small(RandomBlobs):
    """Little data, for many fits."""

    def setup(self, stage):
        self.train, self.val = Augmented(64), Augmented(16)


class Averaged(WeightAveraging):
    """A callback that trials keep."""


class Own(pl.Callback):
    """A callback of the user's, of which trials run what prepares a step."""


ROLES = {"module": Alone, "datamodule": Small, "kept callback": Averaged, "own callback": Own}


def public(*classes):
    """Names of the hooks that Lightning's classes declare."""
    return {name for cls in classes for name in vars(cls) if not name.startswith("_") and name != "state_key"}


LOADERS = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}
STEPS = {"fit": "training_step", "validate": "validation_step", "test": "test_step", "predict": "predict_step"}
OPTIMIZATION = {
    "backward",
    "configure_callbacks",
    "configure_gradient_clipping",
    "configure_optimizers",
    "lr_scheduler_step",
    "optimizer_step",
    "optimizer_zero_grad",
}
DATA = public(lightning_hooks.DataHooks)
CHECKPOINT = public(lightning_hooks.CheckpointHooks)
SHARDED = {"configure_sharded_model"}  # given up by Lightning for configure_model
HOOKS = {
    "module": public(lightning_hooks.ModelHooks) - SHARDED | DATA | CHECKPOINT | OPTIMIZATION | {*STEPS.values()},
    "datamodule": DATA | public(pl.LightningDataModule) & {"state_dict", "load_state_dict", "on_exception"},
    "kept callback": public(pl.Callback),
    "own callback": PREPARING,
}
NEVER = {"state_dict", "load_state_dict", "on_exception", "on_sanity_check_start", "on_sanity_check_end"} | CHECKPOINT
"""Nothing is saved or resumed, and a tuning that goes well has no exception to tell of."""


def walked(role, method="fit"):
    """The hooks that a tuning runs, by who has them and what is tuned for."""
    hooks = HOOKS[role] - NEVER
    if method == "fit":
        return {hook for hook in hooks if "test_" not in hook and "predict_" not in hook}
    stage = STEPS[method].removesuffix("_step")
    once = {"prepare_data", "setup", "teardown", "configure_callbacks", "configure_model"}
    transfer = {hook for hook in hooks if hook.startswith(f"on_{stage}_") or "transfer" in hook}
    return {f"{LOADERS[method]}_dataloader", STEPS[method]} | once | transfer - {"on_validation_model_zero_grad"}


def objects(role, before):
    """Trainer, module and datamodule, one of them rigged."""
    pl.seed_everything(5, verbose=False)
    made = rigged(ROLES[role], before)()
    callbacks = [made] if "callback" in role else []
    trainer = quiet_trainer(callbacks=callbacks, max_epochs=1)
    if role == "datamodule":
        return trainer, RandomNet(), made
    return trainer, made if role == "module" else Alone(), None


@functools.cache
def untuned(role):
    """What a fit comes to that was never tuned."""
    return fitted(*objects(role, {}))


def tuned(made, method):
    """Tune for a method of the Trainer."""
    config = CONFIG if method == "fit" else {**CONFIG, "use_learning_rate_tuning": False, "batch_size_method": method}
    return tune(*made, TunerConfig(**config), save_plot=False)


@functools.cache
def calls(role, method):
    """How often each hook runs in a tuning that nobody kills."""
    counts = Counter()
    before = {hook: functools.partial(counts.update, [hook]) for hook in HOOKS[role]}
    tuned(objects(role, before), method)
    return counts


WALKS = [(role, "fit") for role in ROLES] + [("module", method) for method in ("validate", "test", "predict")]
KILLS = [(role, method, hook) for role, method in WALKS for hook in sorted(walked(role, method))]


@pytest.mark.parametrize(("role", "method"), WALKS)
def test_every_hook_is_walked(role, method):
    """The hooks that a tuning runs are all that Lightning has, but for those that save, resume, or run other stages."""
    assert set(calls(role, method)) == walked(role, method)


@pytest.mark.parametrize(("role", "method", "hook"), KILLS)
def test_killed_in_a_hook(role, method, hook):
    """An error from a hook's first call on comes out as the same object, Ctrl-C at its middle or last call as such; all
    is as before, and the fit after all that is as if nothing had been. (An error at the last call alone is one of the
    last batch size, which then cannot be used.)
    """
    number = calls(role, method)[hook]
    error = ValueError("from the user's code")
    left: list = []

    def burn():
        if left:
            left[0] -= 1
            if left[0] <= 0:  # an error that comes but once is one of a single batch size
                raise fatal

    made = objects(role, {hook: burn})
    before = state(*made)
    for count, fatal in ((1, error), ((number + 1) // 2, KeyboardInterrupt()), (number, KeyboardInterrupt())):
        left[:] = [count]
        with pytest.raises(type(fatal)) as caught:
            tuned(made, method)
        assert caught.value is error or fatal is not error
        assert state(*made) == before
        assert not list(Path.cwd().iterdir())
    left.clear()
    assert fitted(*made) == untuned(role)


@pytest.mark.parametrize("role", ["datamodule", "kept callback"])
def test_on_exception_is_told_of_the_error_alone(role):
    """A hook for exceptions hears of the user's own, at each batch size tried, and not of how trials are ended."""
    told, error = [], ValueError("from the user's code")

    class Telling(ROLES[role]):
        def on_exception(self, *args):
            told.extend(args[-1:])

    class Failing(Alone):
        def on_validation_start(self):
            raise error

    module, given = Failing(), Telling()
    data = given if role == "datamodule" else None
    trainer = quiet_trainer(callbacks=[] if data else [given])
    with pytest.raises(ValueError, match="from the user's code"):
        tuned((trainer, module, data), "fit")
    assert set(map(id, told)) == {id(error)}
