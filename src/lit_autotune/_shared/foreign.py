"""Calling the code of plugins: it must neither change the user's process nor hang without a name.

Nothing here imports torch or NumPy: only where somebody has, is there a state to be put back.
"""

import contextlib
import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

PATIENCE = 5.0
"""Seconds after which the user is told what they are waiting for."""


@contextlib.contextmanager
def unchanged_state() -> Iterator[None]:
    """Put back the random state of Python, NumPy and torch, torch's default dtype and gradient mode."""
    python = random.getstate()
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    numpy_state = numpy.random.get_state() if numpy else None
    torch_state = _torch_state(torch) if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(numpy_state)
        if torch and torch_state:
            rng, dtype, enabled = torch_state
            torch.set_rng_state(rng)
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(enabled)


def _torch_state(torch: Any) -> tuple[Any, ...] | None:
    if not hasattr(torch, "is_grad_enabled"):  # half imported
        return None
    return torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()


@contextlib.contextmanager
def named_when_slow(text: str, seconds: float = PATIENCE) -> Iterator[None]:
    """Say on standard error what is waited for if it takes long; Ctrl-C ends the waiting."""
    timer = threading.Timer(seconds, lambda: print(f"autotune: {text}", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def fault_of(error: BaseException) -> str:
    """Type and message of an error of a plugin's, in one line, with the file and line where it was raised."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{text} ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace else text


def call_foreign(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a function of a plugin's with the user's state put back afterwards."""
    with unchanged_state():
        return function(*arguments, **keywords)
