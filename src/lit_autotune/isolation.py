"""Batch-size trials in a child process, which may be killed, abort or be spoilt without harm to the user's process."""

import contextlib
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import IO, Any, cast

from lit_autotune._text import first_line
from lit_autotune.budget import Budget, read_status
from lit_autotune.errors import TuningError
from lit_autotune.sandbox import Sandbox
from lit_autotune.sizes import format_size
from lit_autotune.trial_process import read, write
from lit_autotune.types import Measurement

POLL_SECONDS = 0.02
NEAR = 0.5
"""A size that may take this share of the memory at hand could get the process killed: trials are bounded, not exact."""


class IsolationError(Exception):
    """Raised when the user's objects cannot be sent to another process; says why."""


class TrialProcess:
    """Runs trials in a child process. It is reused until it fails.

    Args:
        sandbox: What to send to the child.
        budget: The memory budget of this process, if there is one.
    """

    def __init__(self, sandbox: Sandbox, budget: Budget | None):
        self._sandbox, self._budget = sandbox, budget
        self._on_host = sandbox.trainer.strategy.root_device.type == "cpu"
        self._own_size = read_status().get("VmRSS", 0)
        self._start_size = self._peak = 0
        self._child: _Child | None = None

    def try_batch_size(self, *arguments: Any) -> Measurement:
        """As :func:`lit_autotune.trials.try_batch_size`, which see, less the sandbox.

        Raises:
            IsolationError: If the objects cannot be sent to the child.
            TuningError: If the child died, and not for lack of memory.
        """
        child = self._child = self._child or self._start()
        self._peak = 0
        child.send(pickle.dumps(arguments))
        kind, value = self._answer(child)
        if kind == "measured":
            peak = value.peak_bytes
            return Measurement(self._here(peak) if self._on_host and peak else peak, value.step_seconds)
        if isinstance(value, MemoryError):
            self.close()  # what failed once may be spoilt: a GPU's context, a thread's convolutions
        raise value

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _start(self) -> "_Child":
        reason = ""
        for dumps in _picklers():
            try:
                payload = pickle.dumps((_settings(), dumps(self._sandbox)))
            except Exception as error:  # foreign objects refuse in many ways
                reason = first_line(error)
                continue
            child = _Child()
            child.send(payload)
            kind, value = self._answer(child)
            if kind == "ready":
                self._start_size = value
                return child
            child.kill()
            reason = value if kind == "unfit" else first_line(value)
        raise IsolationError(reason)

    def _answer(self, child: "_Child") -> tuple[str, Any]:
        """The child's next answer; it is ended if it takes more than there is."""
        while not child.has_answered():
            self._peak = max(self._peak, self._here(read_status(child.pid).get("VmRSS", 0)))
            budget = self._budget
            if budget is not None and self._on_host and self._start_size and self._peak > budget.limit:
                return "failed", MemoryError(f"took {format_size(self._peak)}, more than {budget}")
        message = child.receive()
        return self._obituary(child) if message is None else pickle.loads(message)

    def _here(self, size: int) -> int:
        """What a size of the child would be in this process, which has loaded other things."""
        return size - self._start_size + self._own_size

    def _obituary(self, child: "_Child") -> tuple[str, Exception]:
        """Why the child died: memory, if it is known to have had much of it."""
        self._child = None
        code = child.kill()
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        budget, peak = self._budget, format_size(self._peak)
        if budget is not None and self._peak > NEAR * budget.limit:
            return "failed", MemoryError(f"the trial's process was ended by {cause} when it had {peak}")
        return "failed", TuningError(
            f"the trial's process was ended by {cause}, and memory does not explain it (it had {peak}"
            f"{f' of {budget}' if budget else ''}); with trial_isolation = 'none' a debugger can see where"
        )


class _Child:
    """The process and its two pipes."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", "from lit_autotune.trial_process import main; main()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self._output = cast(IO[bytes], self._process.stdout)

    def send(self, message: bytes) -> None:
        """Send a pickled message; that the child is dead shows when it does not answer."""
        with contextlib.suppress(BrokenPipeError):
            write(cast(IO[bytes], self._process.stdin), message)

    def has_answered(self) -> bool:
        """Wait a moment for an answer or the child's end.

        No thread listens: starting one where memory is spent may wait for ever. On Windows, where nobody can look
        into a pipe, but nothing is known of the child's memory either, receiving waits instead.
        """
        return sys.platform == "win32" or bool(wait([self._output.fileno()], POLL_SECONDS))

    def receive(self) -> bytes | None:
        """The pickled answer; ``None`` if the child has ended."""
        return read(self._output)

    def kill(self) -> int:
        """End it if it has not ended yet; returns its exit code, negative for a signal."""
        self._output.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=0)
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
