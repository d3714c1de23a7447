"""What makes a copied Trainer one that has never run, and leaves no trace: fresh loops, no watchers, silent loggers."""

import copy
import importlib
from collections.abc import Mapping
from typing import Any

from lit_autotune.internals.packages import is_lightnings, trainer_package

SIGTERM_CODE = 143
"""What a shell says of a process that SIGTERM ended: 128 + 15."""

DROPPED = object()
"""Stands in a copied Trainer for what an earlier fit left behind; the next fit overwrites it."""


def stale_parts(trainer: Any, templates: Mapping[str, Any]) -> dict[int, Any]:
    """A memo that keeps what an earlier run left in the Trainer (loops, loaders, optimizers) from being copied."""
    memo: dict[int, Any] = {}
    for loop in (trainer.fit_loop, trainer.validate_loop, trainer.test_loop, trainer.predict_loop):
        memo[id(loop)] = DROPPED
    strategy = trainer.strategy
    for name in ("_optimizers", "_lightning_optimizers", "lr_scheduler_configs"):
        memo[id(getattr(strategy, name))] = []
    ours = {id(template) for template in templates.values()}
    for leftover in (strategy.model, strategy.lightning_module):
        if leftover is not None and id(leftover) not in ours:
            memo[id(leftover)] = DROPPED
    if trainer.datamodule is not None and id(trainer.datamodule) not in ours:
        memo[id(trainer.datamodule)] = None  # a fit without one would call the hooks of whatever stands there
    return memo


def renew_loops(trainer: Any, copied: Any) -> None:
    """Give a copied Trainer loops of its own that have not run yet, as ``Trainer.__init__`` makes them."""
    fit = trainer.fit_loop
    copied.fit_loop = _renewed(fit, copied, min_epochs=fit.min_epochs, max_epochs=fit.max_epochs)
    epoch = fit.epoch_loop
    copied.fit_loop.epoch_loop = _renewed(epoch, copied, min_steps=epoch.min_steps, max_steps=epoch.max_steps)
    for name in ("validate_loop", "test_loop"):
        loop = getattr(trainer, name)
        renewed = _renewed(loop, copied, loop._trainer_fn, loop._stage, inference_mode=loop.inference_mode)
        setattr(copied, name, renewed)
    predict = trainer.predict_loop
    copied.predict_loop = _renewed(predict, copied, inference_mode=predict.inference_mode)


def _renewed(loop: Any, copied: Any, *arguments: Any, **options: Any) -> Any:
    """A loop like another that has not run.

    A class of the user's may take other arguments: it gets what Lightning's would hold, and its own attributes.
    """
    base = next(cls for cls in type(loop).__mro__ if is_lightnings(cls.__module__))
    renewed = base(copied, *arguments, **options)
    if base is not type(loop):
        own = {name: value for name, value in vars(loop).items() if name not in vars(renewed)}
        vars(renewed).update(copy.deepcopy(own, {id(loop.trainer): copied, id(loop): renewed}))
        renewed.__class__ = type(loop)
    return renewed


FACTS = ("accumulate_grad_batches", "gradient_clip_val", "max_epochs", "max_steps", "limit_train_batches")
"""Settings of a Trainer, as it calls them, that batch size and learning rate depend on."""

UNSET = {"accumulate_grad_batches": 1, "max_steps": -1, "limit_train_batches": 1.0}


def facts(trainer: Any) -> dict[str, Any]:
    """Settings of a Trainer that the values found hold for; those that were not changed are left out."""
    found = {name: getattr(trainer, name) for name in FACTS}
    changed = {name: value for name, value in found.items() if value is not None and value != UNSET.get(name)}
    strategy = type(trainer.strategy).__name__
    return {
        "precision": str(trainer.precision),
        "device": trainer.strategy.root_device.type,
        "devices": trainer.world_size,
        **({} if trainer.world_size == 1 else {"strategy": strategy}),
        **changed,
    }


def silent_profiler(trainer: Any) -> Any:
    """A profiler that measures and writes nothing."""
    return importlib.import_module(f"{trainer_package(trainer)}.profilers").PassThroughProfiler()


def raise_if_terminated(trainer: Any) -> None:
    """Raise Lightning's ``SIGTERMException`` if the signal came; Lightning itself does so only before a next batch."""
    if trainer.received_sigterm:
        raise importlib.import_module(f"{trainer_package(trainer)}.utilities.exceptions").SIGTERMException(SIGTERM_CODE)
