"""How much memory a trial took at its peak."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lit_autotune.budget import read_status

CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What to write to ``CLEAR_REFS`` for Linux to let the resident high-water mark begin anew."""


@contextlib.contextmanager
def measured(device: Any) -> Iterator[Callable[[], int | None]]:
    """Measure the peak from here on. Yields a function that says it, in bytes; ``None`` where nothing can be measured.

    On a GPU that is what the allocator reserved, on Linux the process's resident high-water mark.
    """
    import torch

    if device.type in ("cuda", "xpu"):
        accelerator = getattr(torch, device.type)
        accelerator.reset_peak_memory_stats(device)
        yield lambda: int(accelerator.max_memory_reserved(device))
    elif device.type == "cpu" and _reset_high_water_mark():
        yield lambda: read_status().get("VmHWM")
    else:
        yield lambda: None


def _reset_high_water_mark() -> bool:
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True
