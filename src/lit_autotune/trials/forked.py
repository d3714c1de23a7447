"""Runs in a copy of this process, made by fork: on a CPU under Linux it costs milliseconds.

The copy has the very heap of this process, so its peak is what this process would take. What it leaves behind, holes in
the heap and spoilt threads, ends with it.
"""

import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from lit_autotune.memory.budget import Budget
from lit_autotune.memory.process import cpu_seconds, read_status, resident
from lit_autotune.trials.child import POLL_SECONDS, Child, Watcher
from lit_autotune.trials.messages import answer, die_first
from lit_autotune.types import Measurement

STUCK_SECONDS = 10
"""A copy that computes nothing for so long waits for a lock: a thread held it that the copy does not have."""

M_ARENA_MAX = -8


class UnfitForForksError(Exception):
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
            UnfitForForksError: If the copy waits for ever, or died and no copy before it came to an answer.
            TuningError: If the copy died, and not for lack of memory.
            MemoryError: If it did not fit. Other errors of the trial come out as they are.
        """
        files = _file_pages()
        copy = _Fork(lambda: _as_in_parent(trial(), files))
        kind, value = self._watcher.answer(copy, lambda pid: _missing(files, pid) + resident(pid))
        copy.kill()
        if kind == "died" and not self._proven:
            raise UnfitForForksError("died")
        self._proven = True
        if kind == "measured":
            measurement: Measurement = value
            return measurement
        try:
            raise value
        finally:
            del value  # it has this frame, and they would keep each other alive


def in_fork(work: Callable[[], Any]) -> Any:
    """What some work returns that is done in a copy of this process; it must be possible to pickle it.

    Raises:
        TuningError: If the copy died. Errors of the work come out as they are.
    """
    copy = _Fork(work)
    kind, value = Watcher(None, watches=False).answer(copy, resident)
    copy.kill()
    if kind == "measured":
        return value
    try:
        raise value
    finally:
        del value  # it has this frame, and they would keep each other alive


def _as_in_parent(measured: Measurement, files: int) -> Measurement:
    """What the original would have measured."""
    missing = _missing(files)
    return measured._replace(peak_bytes=measured.peak_bytes and measured.peak_bytes + missing)


def _file_pages(pid: int | str = "self") -> int:
    return read_status(pid).get("RssFile", 0)


def _missing(files: int, pid: int | str = "self") -> int:
    """Pages of libraries that the original has: a copy begins without them, and loads what it needs."""
    return max(0, files - _file_pages(pid))


class _Fork(Child):
    """A copy of this process that does some work and ends."""

    def __init__(self, work: Callable[[], Any]):
        _flush()  # or the copy would print it once more
        reader, writer = multiprocessing.Pipe(duplex=False)
        with warnings.catch_warnings():
            # From 3.12 on Python warns of threads; so it would of each DataLoader with workers.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            reader.close()
            _serve(work, writer)
        writer.close()
        super().__init__(pid, reader)
        self._code: int | None = None
        self._looked = (0.0, time.monotonic())

    def has_answered(self) -> bool:
        """As of any child.

        Raises:
            UnfitForForksError: If it waits for ever.
        """
        if super().has_answered():
            return True
        now = time.monotonic()
        if now - self._looked[1] > STUCK_SECONDS:
            computed = cpu_seconds(self.pid)
            if computed == self._looked[0]:
                raise UnfitForForksError("waits for ever")
            self._looked = computed, now
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


def _serve(work: Callable[[], Any], answers: "Connection[Any, Any]") -> NoReturn:
    """What the copy does."""

    def tidy() -> Any:
        try:
            return work()
        finally:
            gc.collect()  # ends a DataLoader's workers, should it keep them
            _flush()

    code = 1
    try:
        _die_before_the_parent()
        _on_fresh_threads(lambda: answer(answers, tidy))
        code = 0
    finally:
        os._exit(code)  # what is to be done at the end of this program is the original's


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _die_before_the_parent() -> None:
    """Die with the original, and before it; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_first()
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
