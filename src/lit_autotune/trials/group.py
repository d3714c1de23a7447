"""Work on copies that all ranks do together, each in a process of its own that may be ended: a group.

With a strategy that cuts the model no rank can do without the others. One that runs out of memory, dies or stands still
would keep them waiting in a collective; here it is the processes of the group that wait, and they are ended together.
"""

import pickle
import time
from collections.abc import Callable
from typing import Any, TypeVar

from lit_autotune.config import TunerConfig
from lit_autotune.copies.ranks import Outcome, Weight, agreed, failure, weight_of
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError, TuningError
from lit_autotune.internals.strategies import is_parallel, is_sharded
from lit_autotune.memory.budget import Budget
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.memory.process import cpu_seconds, resident
from lit_autotune.trials.board import Board, GroupError, StoppedError
from lit_autotune.trials.child import Watcher
from lit_autotune.trials.group_child import Seat, close, pickled, take_part
from lit_autotune.trials.new_process import IsolationError, NewProcess, start_process

T = TypeVar("T")

IDLE = 0.05
"""A process that computes for less than this share of the time only waits."""

SILENT = 10
"""So many times as long as it may stand still a process may compute without a batch: it may be in a loop."""

CLOSING_SECONDS = 10.0

ADVICE = "its output or the system's log may say why"


def group_for(sandbox: Sandbox, config: TunerConfig) -> "Group | None":
    """The group that runs the copies of a tuning, where its strategy or its settings want one.

    Raises:
        ConfigError: If there can be none.
    """
    trainer = sandbox.trainer
    if not is_sharded(trainer) and (config.trial_isolation != "group" or not is_parallel(trainer)):
        return None
    if type(trainer.strategy).__module__.startswith("ray."):
        raise ConfigError(
            f"{type(trainer.strategy).__name__} asks Ray for its rank and device, and Ray does not know the processes "
            "that such trials run in; tune with RayDDPStrategy and trial_isolation = 'auto', or start with torchrun"
        )
    return Group(sandbox, config.trial_timeout)


class Group:
    """Does work on all ranks, in processes that meet as those of the strategy would.

    They are reused until something fails. All ranks have to call all methods.

    Args:
        sandbox: What to send to them.
        patience: Seconds for which they may stand still, or a rank may say nothing.
    """

    def __init__(self, sandbox: Sandbox, patience: float):
        self._sandbox, self._patience = sandbox, patience
        self._on_host = sandbox.trainer.strategy.root_device.type == "cpu"
        self._watcher = Watcher(None, self._on_host, ADVICE)
        self._board: Board | None = None
        self._child: NewProcess | None = None
        self._pace = _Pace(patience, self._on_host)

    def watch(self, budget: Budget | None) -> None:
        """End the group if this rank's process takes more than its budget."""
        self._watcher = Watcher(budget, self._on_host, ADVICE)

    def run(self, work: Callable[[], T], tell: Callable[..., None] | None = None) -> list[T]:
        """Do some work, see :func:`~lit_autotune.copies.ranks.everywhere`.

        Raises:
            ConfigError: If the user's objects cannot be sent to the group's processes.
            TuningError: If a process died, not for lack of memory, or all stood still; names rank and signal.
        """
        trainer = self._sandbox.trainer
        board = self._board = self._board or Board(trainer, self._patience)
        board.begin()
        self._pace.begin()
        try:
            own: Exception | None = None
            try:
                outcome = Outcome(self._do(work, tell, board))
            except StoppedError:
                outcome = Outcome()
            except Exception as error:
                own, outcome = error, failure(error, _weight(error))
                if isinstance(error, GroupError):
                    outcome = outcome._replace(text=str(error))
            outcomes = board.exchange(outcome)
        except BaseException:  # Ctrl-C, or a rank is gone: nothing is left to agree on
            self._end()
            self._board = None
            raise
        if any(one.weight != Weight.FINE for one in outcomes):
            self._end()
        try:
            return agreed(outcomes, own if own and _weight(own) == weight_of(own) else None)
        finally:
            del own

    def close(self) -> None:
        """End the processes; what ``setup`` did in them is undone if that takes a moment only."""
        if self._child is not None:
            self._child.send(pickle.dumps((close, ())))
            deadline = time.monotonic() + CLOSING_SECONDS
            while time.monotonic() < deadline and not self._child.has_answered():
                pass
        self._end()
        if self._board is not None:
            self._board.close()
            self._board = None

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _do(self, work: Callable[[], T], tell: Callable[..., None] | None, board: Board) -> T:
        sandbox, trainer = self._sandbox, self._sandbox.trainer
        child = self._child = self._child or self._start(board)
        seat = Seat(board.address, board.number, trainer.global_rank, trainer.world_size, self._patience)
        child.peak = resident(child.pid)
        child.send(pickle.dumps((take_part, (seat, sandbox.values, pickled(work, sandbox, tell)))))
        kind, value = self._answer(child, board)
        while kind == "told":
            if tell is not None and value is not None:
                tell(*value)
            self._pace.moved()
            kind, value = self._answer(child, board)
        if kind == "measured":
            return value  # type: ignore[no-any-return]
        try:
            raise GroupError(str(value)) if isinstance(value, TuningError) and kind == "died" else value
        finally:
            del value

    def _start(self, board: Board) -> NewProcess:
        try:
            child, _ = start_process(self._sandbox, lambda child: self._answer(child, board))
        except IsolationError as error:
            name = type(self._sandbox.trainer.strategy).__name__
            raise ConfigError(
                f"trials with {name} run in processes of their own, and the objects cannot be sent there ({error}); "
                "classes of a script or notebook can, once cloudpickle is installed"
            ) from None
        return child

    def _answer(self, child: NewProcess, board: Board) -> tuple[str, Any]:
        """The next answer of this rank's process.

        Raises:
            StoppedError: If another rank has failed.
            GroupError: If all stand still, or a rank is gone.
        """

        def look(pid: int) -> int:
            board.look()
            if self._pace.has_news(pid) and board.set_still(self._pace.is_still):
                raise GroupError(
                    f"no process has finished a batch or computed for {self._patience:g} s (trial_timeout): a rank may "
                    "be waiting for what the others do not do"
                )
            return resident(pid)

        return self._watcher.answer(child, look)


class _Pace:
    """Tells whether a process goes on.

    Args:
        patience: Seconds for which it may stand still.
        on_host: Whether what it computes can be seen; one that waits for a GPU computes all the time.
    """

    def __init__(self, patience: float, on_host: bool):
        self._patience, self._on_host = patience, on_host
        self._every = min(1.0, patience / 4)
        self.begin()

    def begin(self) -> None:
        """A piece of work begins."""
        self.is_still = False
        self._seconds = 0.0
        self.moved()

    def moved(self) -> None:
        """It has finished a batch, or told something else."""
        self._batch = self._computed = self._looked = time.monotonic()

    def has_news(self, pid: int) -> bool:
        """Look at it once in a while; whether it stands still is known better then."""
        now = time.monotonic()
        if now - self._looked < self._every:
            return False
        if self._on_host:
            seconds = cpu_seconds(pid)
            if seconds - self._seconds > IDLE * (now - self._looked):
                self._computed = now
            self._seconds = seconds
        self._looked = now
        self.is_still = now - self._computed > self._patience or now - self._batch > SILENT * self._patience
        return True


def _weight(error: Exception) -> Weight:
    """How serious an error of a group's process is."""
    import torch

    if is_out_of_memory(error):
        return Weight.OUT_OF_MEMORY
    if isinstance(error, GroupError):
        return Weight.DIED
    text = str(error).lower()
    is_touch = isinstance(error, torch.distributed.DistError) or "nccl" in text or "gloo" in text
    return Weight.LOST_TOUCH if is_touch else weight_of(error)
