"""Batch-size trials in a copy of this process, made by fork: on a CPU under Linux it costs milliseconds.

The copy has the very heap of this process, so its peak is what this process would take. What it leaves behind, holes in
the heap and spoilt threads, ends with it.
"""

import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

from lit_autotune.budget import Budget, read_status
from lit_autotune.trial_process import answer
from lit_autotune.types import Measurement
from lit_autotune.watching import POLL_SECONDS, Child, Watcher

STUCK_SECONDS = 10
"""A copy that computes nothing for so long waits for a lock: a thread held it that the copy does not have."""

PR_SET_PDEATHSIG = 1
M_ARENA_MAX = -8


class UnfitForCopiesError(Exception):
    """Raised when a copy fails at what the process itself may be able to do; says what it did."""


def can_fork(device: Any) -> bool:
    """Whether trials can run in copies of this process: no device knows what to do with a copy of its context."""
    import torch

    return sys.platform == "linux" and device.type == "cpu" and not torch.cuda.is_initialized()


class Forker:
    """Runs trials, each in a copy of this process.

    Args:
        budget: The memory budget of this process, if there is one.
    """

    def __init__(self, budget: Budget | None):
        self._watcher = Watcher(budget, watches=True)
        self._proven = False

    def run(self, trial: Callable[[], Measurement]) -> Measurement:
        """Run a trial.

        Raises:
            UnfitForCopiesError: If the copy waits for ever, or died and no copy before it came to an answer.
            TuningError: If the copy died, and not for lack of memory.
            MemoryError: If it did not fit. Other errors of the trial come out as they are.
        """
        files = read_status().get("RssFile", 0)
        copy = _Copy(lambda: _as_here(trial(), files))
        kind, value = self._watcher.answer(copy, lambda status: _missing(files, status) + status.get("VmRSS", 0))
        copy.kill()
        if kind == "died" and not self._proven:
            raise UnfitForCopiesError("died")
        self._proven = True
        if kind == "measured":
            measurement: Measurement = value
            return measurement
        raise value


def _as_here(measured: Measurement, files: int) -> Measurement:
    """What the original would have measured."""
    missing = _missing(files, read_status())
    return measured._replace(peak_bytes=measured.peak_bytes and measured.peak_bytes + missing)


def _missing(files: int, status: dict[str, int]) -> int:
    """Pages of libraries that the original has: a copy begins without them, and loads what it needs."""
    return max(0, files - status.get("RssFile", 0))


class _Copy(Child):
    """A copy of this process that runs a trial and ends."""

    def __init__(self, trial: Callable[[], Measurement]):
        _flush()  # or the copy would print it once more
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # From 3.12 on Python warns of threads; so it would of each DataLoader with workers.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            os.close(reader)
            _serve(trial, os.fdopen(writer, "wb"))
        os.close(writer)
        super().__init__(pid, os.fdopen(reader, "rb"))
        self._code: int | None = None
        self._looked = (0, time.monotonic())

    def has_answered(self) -> bool:
        """As of any child.

        Raises:
            UnfitForCopiesError: If it waits for ever.
        """
        if super().has_answered():
            return True
        now = time.monotonic()
        if now - self._looked[1] > STUCK_SECONDS:
            ticks = _cpu_ticks(self.pid)
            if ticks == self._looked[0]:
                raise UnfitForCopiesError("waits for ever")
            self._looked = ticks, now
        return False

    def _kill(self, grace: float) -> int:
        deadline = time.monotonic() + grace
        while self._code is None:
            options = os.WNOHANG
            if time.monotonic() >= deadline:
                os.kill(self.pid, signal.SIGKILL)  # one that has ended keeps its exit code
                options = 0
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(POLL_SECONDS)
        return self._code


def _cpu_ticks(pid: int) -> int:
    """What a process and its children, such as a DataLoader's workers, have computed, in the system's clock ticks."""
    ticks, process = 0, Path(f"/proc/{pid}")
    with contextlib.suppress(OSError):
        fields = (process / "stat").read_text().rpartition(")")[2].split()  # the name before it may hold anything
        ticks = int(fields[11]) + int(fields[12])  # utime and stime
        for children in process.glob("task/*/children"):
            ticks += sum(_cpu_ticks(int(child)) for child in children.read_text().split())
    return ticks


def _serve(trial: Callable[[], Measurement], answers: IO[bytes]) -> NoReturn:
    """What the copy does."""

    def tidy() -> Measurement:
        try:
            return trial()
        finally:
            gc.collect()  # ends a DataLoader's workers, should it keep them
            _flush()

    code = 1
    try:
        _become_expendable()
        _on_fresh_threads(lambda: answer(answers, tidy))
        code = 0
    finally:
        os._exit(code)  # what is to be done at the end of this program is the original's


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _become_expendable() -> None:
    """Die with the original, and before it; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    # The lock of a live display may have been held by another thread, which the copy does not have.
    sys.stdout = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    sys.stderr = getattr(sys.stderr, "rich_proxied_file", sys.stderr)


def _on_fresh_threads(work: Callable[[], None]) -> None:
    """Call it where OpenMP starts threads of its own: those of the original do not exist in the copy.

    GNU's OpenMP keeps a team for each thread that asks for one, and would wait for ever for the original's. The new
    thread takes memory from the same heap, as the trial would in the original.
    """
    import torch

    if torch.get_num_threads() == 1:
        work()
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
