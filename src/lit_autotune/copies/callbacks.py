"""Callbacks of a copied Trainer: what prepares a step runs, what writes, stops or logs does not."""

import contextlib
import functools
import io
from collections.abc import Callable, Iterable
from typing import Any

from lit_autotune.errors import AutotuneError
from lit_autotune.internals.packages import is_lightnings
from lit_autotune.memory.out_of_memory import is_out_of_memory

WHOLE = {"WeightAveraging", "StochasticWeightAveraging", "GradientAccumulationScheduler", "BaseFinetuning"}
"""Callbacks of Lightning's that change what a step computes or how much memory it takes: all their hooks run."""

HOLLOW = {"Checkpoint", "EarlyStopping"}
"""Those that modules look for in ``trainer.callbacks``: there, but none of their hooks runs."""

USERS = {"Callback", "LambdaCallback"}
"""Classes of Lightning's whose hooks are the user's own. All others only watch, and are left out."""

PREPARING = {
    "setup",
    "on_fit_start",
    "on_train_start",
    "on_train_epoch_start",
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
}
"""Hooks of the user's callbacks that run: up to a step's end they decide what it computes, after it they watch."""


class SeenEnoughError(Exception):
    """Raised in a hook of a copy to end its run."""


def tell_of_errors(on_exception: Callable[..., None], *arguments: Any) -> None:
    """Call the user's ``on_exception``, unless the exception is part of the tuning."""
    error = arguments[-1]
    if not isinstance(error, SeenEnoughError) and not is_out_of_memory(error):
        on_exception(*arguments)


def to_copy(callbacks: Iterable[Any]) -> list[Any]:
    """The callbacks that a copied Trainer gets copies of."""
    return [callback for callback in callbacks if _hooks_to_run(callback) is not None]


def that_act(callbacks: Iterable[Any]) -> list[Any]:
    """The callbacks of which a trial runs anything."""
    return [callback for callback in callbacks if _hooks_to_run(callback)]


def prepare(copied: Any, in_a_fit: bool) -> Any:
    """Leave a copied callback only the hooks that a trial runs.

    Args:
        copied: The copy.
        in_a_fit: Whether the user's Trainer is running: then the user's callbacks have prepared everything already, and
            it may be one of them that tunes.
    """
    running = _hooks_to_run(copied)
    if in_a_fit and not _is_whole(copied):
        running = set()
    for name in _all_hooks(copied):
        hook = getattr(copied, name)
        if running is None or name not in running:
            vars(copied)[name] = _do_nothing
        elif name == "on_exception":
            vars(copied)[name] = functools.partial(tell_of_errors, hook)
        elif name in PREPARING and is_own(copied, name) and not _is_whole(copied):
            vars(copied)[name] = functools.partial(_quietly, hook)
    return copied


def sets_up(callbacks: Iterable[Any]) -> bool:
    """Whether any of the callbacks of a copied Trainer has a ``setup`` of its own that runs."""
    return any(is_own(callback, "setup") and vars(callback).get("setup") is not _do_nothing for callback in callbacks)


def tell_left_out(error: Exception, callbacks: Iterable[Any]) -> None:
    """Note on an error of the user's which of their callbacks did not run as they do in a fit."""
    names = dict.fromkeys(type(callback).__name__ for callback in callbacks if _is_left_out(callback))
    if names and not isinstance(error, AutotuneError):
        note = f"in a trial of lit-autotune, which leaves out hooks of {', '.join(names)}"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def is_own(callback: Any, hook: str) -> bool:
    """Whether a hook is the user's own."""
    if hook in vars(callback):  # as LambdaCallback keeps them
        return True
    return not is_lightnings(next(cls for cls in type(callback).__mro__ if hook in vars(cls)).__module__)


def _hooks_to_run(callback: Any) -> set[str] | None:
    """Names of the hooks that run; ``None`` if the callback is left out altogether."""
    if _is_whole(callback):
        return set(_all_hooks(callback))
    lightnings = {cls.__name__ for cls in type(callback).__mro__ if is_lightnings(cls.__module__)}
    if lightnings & HOLLOW:
        return set()
    return PREPARING if lightnings <= USERS else None


def _is_left_out(callback: Any) -> bool:
    """Whether a hook of the user's own does not run."""
    running = _hooks_to_run(callback) or ()
    return any(name not in running and is_own(callback, name) for name in _all_hooks(callback))


def _is_whole(callback: Any) -> bool:
    return any(cls.__name__ in WHOLE for cls in type(callback).__mro__)


def _all_hooks(callback: Any) -> list[str]:
    base = next(cls for cls in type(callback).__mro__ if cls.__name__ == "Callback" and is_lightnings(cls.__module__))
    return [name for name in vars(base) if name.startswith("on_") or name in ("setup", "teardown")]


def _do_nothing(*args: Any, **kwargs: Any) -> None:
    pass


def _quietly(hook: Callable[..., None], trainer: Any, *args: Any, **kwargs: Any) -> None:
    """Call a hook that may neither print nor stop the trial."""
    stops = trainer.should_stop
    with contextlib.redirect_stdout(io.StringIO()):
        hook(trainer, *args, **kwargs)
    trainer.should_stop = stops
