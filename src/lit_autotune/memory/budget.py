"""How much memory trials may take, and where that limit comes from."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_autotune._shared.sizes import format_size, parse_size
from lit_autotune.memory.live_tensors import simulated_limit
from lit_autotune.memory.process import available, read_status, read_text, resident

UNLIMITED = 2**60
"""Limits from here on mean "none": the kernel writes huge numbers for that."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A memory limit.

    Attributes:
        limit: What the process, or the device, can hold at most, in bytes.
        usable: What trials may take of it: the limit less ``memory_margin``.
        source: Where the limit comes from.
        deadly: Where the process would be killed instead of getting an error, in bytes; ``None`` if nowhere.
        is_simulated: Whether it is that of :func:`lit_autotune.testing.memory_limit`.
        spare: Of the least of several processes' budgets: how many bytes more each of them may take, by rank.
    """

    limit: int
    usable: int
    source: str
    deadly: int | None = None
    is_simulated: bool = False
    spare: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{format_size(self.usable)} of {format_size(self.limit)} ({self.source})"


def find_budget(device: Any, setting: str, margin: float) -> Budget | None:
    """The memory budget on a device.

    Args:
        device: The ``torch.device`` that trials run on.
        setting: ``"auto"``, a size such as ``"24GiB"``, or a share such as ``"80%"`` of what there is.
        margin: Share of the limit to leave free.

    Returns:
        The budget; ``None`` where neither the setting nor the system names a limit.
    """
    simulated = simulated_limit()
    if simulated is not None:
        killing, refusing = [], [(simulated.limit or 0, "a simulated limit")]
    elif device.type == "cpu":
        killing, refusing = _host_limits(), _host_refusals()
    else:
        killing, refusing = [], _device_limits(device)
    limit, source = min(killing + refusing, default=(UNLIMITED, ""))
    if setting.endswith("%"):
        limit, source = int(limit * float(setting[:-1]) / 100), f"{setting} of {source}"
    elif setting != "auto" and parse_size(setting) < limit:
        limit, source = parse_size(setting), f"memory_budget = {setting}"
    if limit >= UNLIMITED:
        return None
    deadly = min((size for size, _ in killing), default=None)
    return Budget(limit, int(limit * (1 - margin)), source, deadly, simulated is not None)


@contextlib.contextmanager
def enforced(budget: Budget | None, device: Any) -> Iterator[None]:
    """Make a CUDA device refuse what is beyond the budget, and put that back afterwards.

    Without it the driver may page to the host's memory instead of failing, which is many times slower.
    """
    if budget is None or device.type != "cuda":
        yield
        return
    import torch

    before = getattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0)(device)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(before, budget.limit / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before, device)


def _device_limits(device: Any) -> list[tuple[int, str]]:
    """What is free on a GPU, and what this process holds of it already."""
    import torch

    if device.type not in ("cuda", "xpu"):
        return []
    accelerator = getattr(torch, device.type)
    free, _ = accelerator.mem_get_info(device)
    return [(free + accelerator.memory_reserved(device), f"free memory of {device}")]


def _host_limits() -> list[tuple[int, str]]:
    """Where this process is killed or swapped, as resident sizes."""
    present = resident()
    rooms = [(available(), "available memory"), *((room, "cgroup memory limit") for room in _cgroup_rooms())]
    return [(present + room, source) for room, source in rooms]


def _host_refusals() -> list[tuple[int, str]]:
    """Where Linux refuses this process more memory, as resident sizes; nothing on other systems."""
    status = read_status()
    if not status:
        return []
    import resource

    limits = []
    for name, field in (("RLIMIT_DATA", "VmData"), ("RLIMIT_AS", "VmSize")):
        soft, _ = resource.getrlimit(getattr(resource, name))
        if 0 <= soft < UNLIMITED:
            limits.append((resident() + soft - status[field], name))
    return limits


def _cgroup_rooms() -> Iterator[int]:
    """What is left in each control group, version 1 or 2, that this process is in."""
    for line in read_text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup") / ("memory" if controllers else "")
        limit, usage, cache = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else ("memory.max", "memory.current", "inactive_file")
        )
        folder = root / path.lstrip("/")
        # Inside a container the path may be that of the host; then the limit stands at the root.
        for group in dict.fromkeys((folder, *folder.parents, root)):
            allowed, used = read_text(group / limit).strip(), read_text(group / usage).strip()
            if group.is_relative_to(root) and allowed.isdigit() and used.isdigit() and int(allowed) < UNLIMITED:
                freeable = dict(line.split() for line in read_text(group / "memory.stat").splitlines()).get(cache, "0")
                yield int(allowed) - int(used) + int(freeable)
