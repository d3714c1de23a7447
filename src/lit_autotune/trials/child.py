"""Waiting for a trial in a child process: it is ended if it takes too much, and its death is explained."""

import contextlib
import pickle
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from lit_autotune._shared.sizes import format_size
from lit_autotune.errors import TuningError
from lit_autotune.memory.budget import Budget

POLL_SECONDS = 0.02
DYING_SECONDS = 10
"""How long a process may take to end after its pipes were closed: the system may be writing a core dump."""

NEAR = 0.5
"""A size that may take this share of the memory at hand could get the process killed: trials are bounded, not exact."""


ADVICE = "with trial_isolation = 'none' a debugger can see where"
"""What to do about a trial's process that died."""


class Child(ABC):
    """A process that answers through a pipe.

    Attributes:
        pid: Its process id.
        peak: The most memory that it was seen to take, in bytes.
    """

    def __init__(self, pid: int, connection: "Connection[Any, Any]"):
        self.pid, self.peak, self._connection = pid, 0, connection

    def has_answered(self) -> bool:
        """Wait a moment for an answer or the child's end.

        No thread listens: starting one where memory is spent may wait for ever.
        """
        return self._connection.poll(POLL_SECONDS)

    def receive(self) -> bytes | None:
        """The pickled answer; ``None`` if the child has ended."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            return None

    def kill(self, grace: float = 0) -> int:
        """End it if it does not end by itself within some seconds; returns its exit code, negative for a signal."""
        self._connection.close()
        return self._kill(grace)

    @abstractmethod
    def _kill(self, grace: float) -> int: ...


class Watcher:
    """Waits for answers of children.

    Args:
        budget: The memory budget of this process, if there is one.
        watches: Whether what the budget is about can be seen from here: memory of the host, not of a device.
        advice: What to do if one dies, and not for lack of memory.
    """

    def __init__(self, budget: Budget | None, watches: bool, advice: str = ADVICE):
        self._budget, self._watches, self._advice = budget, watches, advice

    def answer(self, child: Child, taken: Callable[[int], int]) -> tuple[str, Any]:
        """The child's next answer: what kind it is, and what it is; the cause of death if it ``died``.

        Args:
            child: It is ended if it takes more than there is.
            taken: Says what this process would have taken, by the child's process id.
        """
        budget = self._budget
        with contextlib.ExitStack() as stack:
            stack.callback(child.kill)  # on Ctrl-C, too
            while not child.has_answered():
                child.peak = max(child.peak, taken(child.pid))
                if budget is not None and self._watches and child.peak > budget.limit:
                    return "failed", MemoryError(f"took {format_size(child.peak)}, more than {budget}")
            message = child.receive()
            if message is None:
                return "died", self._cause_of_death(child.kill(DYING_SECONDS), child.peak)
            kind, value = pickle.loads(message)
            stack.pop_all()
        return kind, value

    def _cause_of_death(self, code: int, peak: int) -> Exception:
        """Why the child died: memory, if it is known to have had much of it."""
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        budget, had = self._budget, format_size(peak)
        if budget is not None and peak > NEAR * budget.limit:
            return MemoryError(f"the trial's process was ended by {cause} when it had {had}")
        return TuningError(
            f"the trial's process was ended by {cause}, and memory does not explain it (it had {had}"
            f"{f' of {budget}' if budget else ''}); {self._advice}"
        )
