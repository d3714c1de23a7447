"""What makes a copied Trainer one that has never run, and leaves no trace: fresh loops, no watchers, silent loggers."""

import copy
import importlib
from collections.abc import Mapping
from typing import Any

from lit_autotune.internals.packages import trainer_package

LIGHTNING = ("lightning", "pytorch_lightning")

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
    for leftover in (strategy.model, strategy.lightning_module, trainer.datamodule):
        if leftover is not None and id(leftover) not in ours:
            memo[id(leftover)] = DROPPED
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
    base = next(cls for cls in type(loop).__mro__ if cls.__module__.partition(".")[0] in LIGHTNING)
    renewed = base(copied, *arguments, **options)
    if base is not type(loop):
        own = {name: value for name, value in vars(loop).items() if name not in vars(renewed)}
        vars(renewed).update(copy.deepcopy(own, {id(loop.trainer): copied, id(loop): renewed}))
        renewed.__class__ = type(loop)
    return renewed


def silent_profiler(trainer: Any) -> Any:
    """A profiler that measures and writes nothing."""
    return importlib.import_module(f"{trainer_package(trainer)}.profilers").PassThroughProfiler()


def raise_if_terminated(trainer: Any) -> None:
    """Raise Lightning's ``SIGTERMException`` if the signal came; Lightning itself does so only before a next batch."""
    if trainer.received_sigterm:
        raise importlib.import_module(f"{trainer_package(trainer)}.utilities.exceptions").SIGTERMException(SIGTERM_CODE)
