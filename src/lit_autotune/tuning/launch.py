"""Tuning in several processes: they are started as the Trainer's strategy would, and agree on how it ends."""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from lit_autotune.copies.process_state import unchanged_process
from lit_autotune.internals.strategies import is_parallel, meet

T = TypeVar("T")


def launch(trainer: Any, function: Callable[..., T], *args: Any) -> T:
    """Call ``function(trainer, *args)`` in all processes of the Trainer's strategy.

    Returns:
        What the call in this process returned, or rank 0 if the strategy only starts processes for the call.
    """
    launcher = trainer.strategy.launcher
    if launcher is None and not is_parallel(trainer):
        return function(trainer, *args)
    start = launcher.launch if launcher else _call  # the processes are there already
    try:
        outcome = start(_in_process, function, trainer, *args)
    except Exception:
        raise
    except BaseException:  # Ctrl-C: the other processes may be waiting for this one
        if launcher:
            launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
        raise
    if isinstance(outcome, BaseException):
        try:
            raise outcome
        finally:
            del outcome  # it has this frame, and they would keep each other alive
    return outcome  # type: ignore[no-any-return]


def _call(function: Callable[..., T], *args: Any) -> T:
    return function(*args)


def _in_process(function: Callable[..., T], trainer: Any, *args: Any) -> T | Exception:
    """The call in one process. Errors are returned: raised, they would reach the first process as another type."""
    try:
        with unchanged_process(quiet=True):
            meet(trainer)
        return function(trainer, *args)
    except Exception as error:
        if multiprocessing.parent_process() is not None:  # pickling drops the traceback
            error.add_note(traceback.format_exc())
        return error
    finally:
        # gloo's threads drop the tensors of the last collective on their own time, and abort a process whose
        # interpreter shuts down meanwhile, as a spawned one does as soon as this returns.
        time.sleep(0.1)
