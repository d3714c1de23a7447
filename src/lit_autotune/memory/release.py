"""Giving memory back that nothing refers to."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator


def release_memory() -> None:
    """Give memory that nothing refers to back to the device. Call it outside of any ``except`` block.

    Inside one the traceback still holds the frames of the failed step, and with them its tensors.
    """
    import torch

    gc.collect()
    for accelerator, is_available in (
        (torch.cuda, torch.cuda.is_available),
        (torch.xpu, torch.xpu.is_available),
        (torch.mps, torch.backends.mps.is_available),
    ):
        if is_available():
            accelerator.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # only the C library of Linux has it
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def quick_release() -> Iterator[None]:
    """Have :func:`release_memory` look at new objects only: all others are the user's and stay anyway.

    A full collection takes a quarter of a second once Lightning is imported, longer than a small trial. Where the user
    has frozen objects it is quick already, and these stay frozen.
    """
    if _has_frozen():
        yield
        return
    gc.collect()  # what is garbage already would be kept, too
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def freeze_once() -> None:
    """Have collections leave out what is there now: imports, mostly."""
    if not _has_frozen():
        gc.freeze()


_frozen: list[bool] = []


def _has_frozen() -> bool:
    """Whether objects were frozen in this process; found once, it is not asked again, for counting takes its time."""
    if not _frozen and gc.get_freeze_count():
        _frozen.append(True)
    return bool(_frozen)
