"""How much memory a trial took at its peak."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lit_autotune.memory.live_tensors import LiveTensors, simulated_limit
from lit_autotune.memory.process import read_status

CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What to write to ``CLEAR_REFS`` for Linux to let the resident high-water mark begin anew."""


@contextlib.contextmanager
def measured(device: Any) -> Iterator[Callable[[], int | None]]:
    """Measure the peak from here on. Yields a function that says it, in bytes; ``None`` where nothing can be measured.

    On a GPU that is what the allocator reserved, on Linux the process's resident high-water mark, under a simulated
    limit the tensors alive.
    """
    import torch

    simulated = simulated_limit()
    if simulated is not None:
        held = simulated.current_bytes
        with LiveTensors().followed() as live:
            yield lambda: held + live.peak_bytes
    elif device.type in ("cuda", "xpu"):
        accelerator = getattr(torch, device.type)
        accelerator.reset_peak_memory_stats(device)
        retries = _retries(accelerator, device)
        yield lambda: int(accelerator.max_memory_reserved(device))
        if _retries(accelerator, device) > retries:
            # It fits only because the allocator gave its cache back in mid-step, which stalls the device each time.
            raise MemoryError("the allocator had to free its cache and try again")
    elif device.type == "cpu" and _reset_high_water_mark():
        yield lambda: read_status().get("VmHWM")
    else:
        yield lambda: None


def held(device: Any) -> int:
    """What is taken now, before any trial, in bytes; 0 where nothing can be measured."""
    with measured(device) as peak:
        return peak() or 0


def _reset_high_water_mark() -> bool:
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def _retries(accelerator: Any, device: Any) -> int:
    return int(accelerator.memory_stats(device).get("num_alloc_retries", 0))
