"""What the system says of a process: its memory, and what it has computed."""

import contextlib
from pathlib import Path

import psutil


def resident(pid: int | None = None) -> int:
    """Resident memory of a process, by default of this one, in bytes; 0 if it has ended."""
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def available() -> int:
    """Memory that programs can still take without swapping, in bytes."""
    return int(psutil.virtual_memory().available)


def cpu_seconds(pid: int) -> float:
    """Time that a process and its children, such as a DataLoader's workers, have computed; 0 if it has ended."""
    seconds = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                seconds += times.user + times.system
    return seconds


def read_status(pid: int | str = "self") -> dict[str, int]:
    """Memory of a process in bytes, by the names of Linux's ``/proc``; empty on other systems.

    For what psutil does not tell: the high-water mark, pages of files, and what limits of resources count.
    """
    lines = (line.split() for line in read_text(Path(f"/proc/{pid}/status")).splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[-1:] == ["kB"]}


def read_text(path: Path) -> str:
    """The content of a file of the system's; empty if it cannot be read."""
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""
