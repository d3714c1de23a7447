"""Batch-size trials in a new process, which may be killed, abort or be spoilt without harm to the user's process."""

import contextlib
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from lit_autotune._shared.text import first_line
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.memory.budget import Budget
from lit_autotune.memory.process import resident
from lit_autotune.trials.child import Child, Watcher
from lit_autotune.trials.trial import TrialSpec, try_batch_size
from lit_autotune.types import Measurement


class IsolationError(Exception):
    """Raised when the user's objects cannot be sent to another process; says why."""


class TrialProcess:
    """Runs trials in a child process. It is reused until it fails.

    Args:
        sandbox: What to send to the child.
        budget: The memory budget of this process, if there is one.
    """

    def __init__(self, sandbox: Sandbox, budget: Budget | None):
        self._sandbox = sandbox
        self._on_host = sandbox.trainer.strategy.root_device.type == "cpu"
        self._watcher = Watcher(budget, self._on_host)
        self._own_size = resident()
        self._start_size = 0
        self._child: NewProcess | None = None

    def try_batch_size(self, spec: TrialSpec, batch_size: int) -> Measurement:
        """Run a trial, see :func:`~lit_autotune.trials.trial.try_batch_size`.

        Raises:
            IsolationError: If the objects cannot be sent to the child.
            TuningError: If the child died, and not for lack of memory.
        """
        if self._child is None:
            self._child, self._start_size = start_process(self._sandbox, self._answer_while_loading)
        child = self._child
        child.peak = 0
        child.send(pickle.dumps((_try, (spec, batch_size))))
        kind, value = self._watcher.answer(child, lambda pid: self._here(resident(pid)))
        if kind == "measured":
            peak = value.peak_bytes
            return Measurement(self._here(peak) if self._on_host and peak else peak, value.step_seconds)
        if not child.is_alive or isinstance(value, MemoryError):
            self.close()  # what failed once may be spoilt: a GPU's context, a thread's convolutions
        try:
            raise value
        finally:
            del value  # it has this frame, and they would keep each other alive

    def _answer_while_loading(self, child: "NewProcess") -> tuple[str, Any]:
        return self._watcher.answer(child, lambda pid: 0)  # it only loads what this process has, too

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _here(self, size: int) -> int:
        """What a size of the child would be in this process, which has loaded other things."""
        return size - self._start_size + self._own_size


def _try(sandbox: Sandbox, tell: Callable[[Any], None], spec: TrialSpec, batch_size: int) -> Measurement:
    return try_batch_size(sandbox, spec, batch_size)


def start_process(sandbox: Sandbox, answer: Callable[["NewProcess"], tuple[str, Any]]) -> tuple["NewProcess", int]:
    """Start a process that has a sandbox like this one's, and does what it is asked for.

    Args:
        sandbox: The sandbox.
        answer: Waits for the process's next answer.

    Returns:
        The process, and its resident size in bytes.

    Raises:
        IsolationError: If the user's objects cannot be sent there.
    """
    reason, picklers = "", _picklers()
    for dumps in picklers:
        try:
            pickled = dumps(sandbox)
        except Exception as error:  # foreign objects refuse in many ways
            reason = first_line(error)
            continue
        if dumps is pickle.dumps and b"__main__" in pickled and len(picklers) > 1:
            continue  # by name: it would start in vain, for there that is another module
        payload = pickle.dumps((_settings(), pickled))
        child = NewProcess()
        child.send(payload)
        kind, value = answer(child)
        if kind == "ready":
            return child, value
        child.kill()
        reason = value if kind == "unfit" else first_line(value)
    raise IsolationError(reason)


class NewProcess(Child):
    """A process that imports what it needs anew. On POSIX it leads a process group, with which it ends."""

    def __init__(self) -> None:
        ours, theirs = multiprocessing.Pipe()
        handle = theirs.fileno()
        command = [sys.executable, "-c", f"from lit_autotune.trials.serving import main; main({handle})"]
        if sys.platform == "win32":
            os.set_handle_inheritable(handle, True)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)
        else:
            # Ctrl-C is for the process that waits; what the user's code starts there ends with it.
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(handle,), process_group=0)
        theirs.close()
        self._has_ended = False
        super().__init__(self._process.pid, ours)

    @property
    def is_alive(self) -> bool:
        """Whether it has not been ended."""
        return not self._connection.closed

    def send(self, message: bytes) -> None:
        """Send a pickled message; that the child is dead shows when it does not answer."""
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            self._connection.send_bytes(message)

    def _kill(self, grace: float) -> int:
        if self._has_ended:  # its number may be another's by now
            return self._process.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=grace)
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it has ended
                os.killpg(self.pid, signal.SIGKILL)
        self._has_ended = True
        return self._process.wait()


def _picklers() -> list[Callable[[Any], bytes]]:
    """Pickle first; cloudpickle, if it is there, also sends classes of a script or a notebook."""
    try:
        import cloudpickle  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        return [pickle.dumps]
    return [pickle.dumps, cloudpickle.dumps]


def _settings() -> dict[str, Any]:
    """What a process needs to import and compute as this one does."""
    import torch

    return {
        "path": sys.path,
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "random": torch.get_rng_state(),
        "python_random": random.getstate(),
        "numpy_random": numpy.random.get_state() if (numpy := sys.modules.get("numpy")) else None,
    }
