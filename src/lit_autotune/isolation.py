"""Batch-size trials in a new process, which may be killed, abort or be spoilt without harm to the user's process."""

import contextlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Any, cast

from lit_autotune._text import first_line
from lit_autotune.budget import Budget, read_status
from lit_autotune.sandbox import Sandbox
from lit_autotune.trial_process import write
from lit_autotune.types import Measurement
from lit_autotune.watching import Child, Watcher


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
        self._own_size = read_status().get("VmRSS", 0)
        self._start_size = 0
        self._child: _NewProcess | None = None

    def try_batch_size(self, *arguments: Any) -> Measurement:
        """As :func:`lit_autotune.trials.try_batch_size`, which see, less the sandbox.

        Raises:
            IsolationError: If the objects cannot be sent to the child.
            TuningError: If the child died, and not for lack of memory.
        """
        child = self._child = self._child or self._start()
        child.send(pickle.dumps(arguments))
        kind, value = self._watcher.answer(child, lambda status: self._here(status.get("VmRSS", 0)))
        if kind == "measured":
            peak = value.peak_bytes
            return Measurement(self._here(peak) if self._on_host and peak else peak, value.step_seconds)
        if not child.is_alive or isinstance(value, MemoryError):
            self.close()  # what failed once may be spoilt: a GPU's context, a thread's convolutions
        raise value

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _start(self) -> "_NewProcess":
        reason = ""
        for dumps in _picklers():
            try:
                payload = pickle.dumps((_settings(), dumps(self._sandbox)))
            except Exception as error:  # foreign objects refuse in many ways
                reason = first_line(error)
                continue
            child = _NewProcess()
            child.send(payload)
            kind, value = self._watcher.answer(child, lambda status: 0)  # it only loads what this process has, too
            if kind == "ready":
                self._start_size = value
                return child
            child.kill()
            reason = value if kind == "unfit" else first_line(value)
        raise IsolationError(reason)

    def _here(self, size: int) -> int:
        """What a size of the child would be in this process, which has loaded other things."""
        return size - self._start_size + self._own_size


class _NewProcess(Child):
    """A process that imports what it needs anew."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", "from lit_autotune.trial_process import main; main()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        super().__init__(self._process.pid, cast(IO[bytes], self._process.stdout))

    @property
    def is_alive(self) -> bool:
        """Whether it has not been ended."""
        return not self._output.closed

    def send(self, message: bytes) -> None:
        """Send a pickled message; that the child is dead shows when it does not answer."""
        with contextlib.suppress(BrokenPipeError):
            write(cast(IO[bytes], self._process.stdin), message)

    def _kill(self, grace: float) -> int:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=grace)
        self._process.kill()
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
    }
