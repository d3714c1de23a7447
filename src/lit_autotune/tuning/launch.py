"""Tuning in several processes: they are started as the Trainer's strategy would, and agree on how it ends."""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from lit_autotune.copies.process_state import unchanged_process

T = TypeVar("T")


def launch(trainer: Any, function: Callable[..., T], *args: Any) -> T:
    """Call ``function(trainer, *args)`` in all processes of the Trainer's strategy.

    Returns:
        What the call in this process returned, or rank 0 if the strategy only starts processes for the call.
    """
    launcher = trainer.strategy.launcher
    if launcher is None:
        return function(trainer, *args)
    try:
        outcome = launcher.launch(_in_process, function, trainer, *args)
    except Exception:
        raise
    except BaseException:  # Ctrl-C: the other processes may be waiting for this one
        launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
        raise
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome  # type: ignore[no-any-return]


def _in_process(function: Callable[..., T], trainer: Any, *args: Any) -> T | Exception:
    """The call in one process. Errors are returned: raised, they would reach the first process as another type."""
    try:
        with unchanged_process(quiet=True):
            trainer.strategy.setup_environment()
        return function(trainer, *args)
    except Exception as error:
        if multiprocessing.parent_process() is not None:  # pickling drops the traceback
            error.add_note(traceback.format_exc())
        return error
    finally:
        # gloo's threads drop the tensors of the last collective on their own time, and abort a process whose
        # interpreter shuts down meanwhile, as a spawned one does as soon as this returns.
        time.sleep(0.1)
