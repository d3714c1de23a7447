"""Calling the code of plugins: it must neither change the user's process nor hang without a name.

Nothing here imports torch or NumPy: only where somebody has, is there a state to be put back.
"""

import contextlib
import functools
import inspect
import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from lit_autotune.errors import AutotuneError

STACK = 2**18
"""Bytes for the stack of the thread that waits."""

PATIENCE = 5.0
"""Seconds after which the user is told what they are waiting for."""


@contextlib.contextmanager
def unchanged_state() -> Iterator[None]:
    """Put back the random state of Python, NumPy and torch, torch's default dtype and gradient mode.

    Where NumPy or torch is imported meanwhile, they are left as a fresh import leaves them.
    """
    state = random.getstate()
    restore_numpy, restore_torch = _numpy_state() or _fresh_numpy, _torch_state() or _fresh_torch
    try:
        yield
    finally:
        random.setstate(state)
        restore_numpy()
        restore_torch()


def _numpy_state() -> Callable[[], None] | None:
    numpy = _loaded_numpy()
    return functools.partial(numpy.set_state, numpy.get_state()) if numpy else None


def _fresh_numpy() -> None:
    if numpy := _loaded_numpy():
        numpy.seed()


def _loaded_numpy() -> Any:
    """NumPy's random numbers, if they are imported, and not only half."""
    numpy = sys.modules.get("numpy.random")
    return numpy if hasattr(numpy, "set_state") else None


def _loaded_torch() -> Any:
    """Torch, if it is imported, and not only half."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "is_grad_enabled") and hasattr(torch, "set_rng_state") else None


def _torch_state() -> Callable[[], None] | None:
    torch = _loaded_torch()
    if torch is None:
        return None
    ways = [(torch.get_rng_state, torch.set_rng_state)]
    ways += [(one.get_rng_state_all, one.set_rng_state_all) for one in (torch.cuda, torch.xpu) if one.is_initialized()]
    if torch.backends.mps.is_available():
        ways.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
    put_back = [functools.partial(put, get()) for get, put in ways]
    put_back.append(functools.partial(torch.set_default_dtype, torch.get_default_dtype()))
    put_back.append(functools.partial(torch.set_grad_enabled, torch.is_grad_enabled()))

    def restore() -> None:
        for put in put_back:
            put()

    return restore


def _fresh_torch() -> None:
    if torch := _loaded_torch():
        torch.default_generator.seed()
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)


@contextlib.contextmanager
def named_when_slow(text: str, seconds: float | None = None) -> Iterator[None]:
    """Say on standard error what is waited for if it takes long; Ctrl-C ends the waiting.

    Args:
        text: What is waited for.
        seconds: How long is long, in seconds; by default :data:`PATIENCE`.
    """
    if sys.is_finalizing():  # a search that an error has ended may be closed as late as that, and no thread starts then
        yield
        return
    said = functools.partial(print, f"autotune: {text}", file=sys.stderr, flush=True)
    timer = threading.Timer(PATIENCE if seconds is None else seconds, said)
    timer.daemon = True
    # A thread's stack counts against a memory limit, 8 MiB of it by default; this one prints a line.
    before = threading.stack_size(STACK)
    try:
        timer.start()
    except RuntimeError:  # not even that is left; then nobody is named
        pass
    finally:
        threading.stack_size(before)
    try:
        yield
    finally:
        timer.cancel()


def fault_of(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """Type and message of an error of a plugin's, in one line, with file and line.

    Args:
        error: What was raised. Of an error of ours the type is left out.
        function: What was called. The line is then the last one of its package that was reached, which the author can
            do something about; if there is none, that of its definition. Without it, the line that raised.
    """
    lines = str(error).strip().splitlines()
    message = lines[0][:200] if lines else ""
    name = "" if isinstance(error, AutotuneError) and message else type(error).__name__
    text = ": ".join(part for part in (name, message) if part)
    place = _place(error, function)
    return f"{text} ({place})" if place else text


def _place(error: BaseException, function: Callable[..., Any] | None) -> str:
    """File and line to blame; empty if nobody knows."""
    while isinstance(function, functools.partial):
        function = function.func
    package = (getattr(function, "__module__", None) or "").partition(".")[0] if function else None
    reached = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if package is None or frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    if reached or function is None:
        return reached[-1] if reached else ""
    plain = inspect.unwrap(function)
    code = getattr(plain if inspect.isroutine(plain) else type(plain).__call__, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""


def call_foreign(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a function of a plugin's with the user's state put back afterwards."""
    with unchanged_state():
        return function(*arguments, **keywords)
