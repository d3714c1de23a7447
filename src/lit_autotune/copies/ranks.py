"""What several processes find, and how they agree on the outcome of a trial.

An out-of-memory error on one rank inside a collective would leave the others waiting for ever. So a trial runs on
each rank alone, on its own device and its own share of the data, and the ranks compare their outcomes afterwards; or,
where no rank can do without the others, in a group of processes that are ended together.
"""

import math
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from lit_autotune._shared.text import first_line
from lit_autotune.errors import OtherRankError, TooLittleDataError, TuningError

T = TypeVar("T")


class Weight(IntEnum):
    """How work can end on a rank, the most serious last."""

    FINE = 0
    LOST_TOUCH = 1
    """With another rank, which knows why."""
    TOO_LITTLE_DATA = 2
    OUT_OF_MEMORY = 3
    FAILED = 4
    DIED = 5
    """The process of a group, and not for lack of memory."""


ELSEWHERE: dict[Weight, type[Exception]] = {
    Weight.LOST_TOUCH: TuningError,
    Weight.TOO_LITTLE_DATA: TooLittleDataError,
    Weight.OUT_OF_MEMORY: MemoryError,
    Weight.FAILED: OtherRankError,
    Weight.DIED: TuningError,
}
"""What is raised on one rank for what happened on another."""


class Outcome(NamedTuple):
    """How work ended on a rank: what came of it, how serious that is, and the error in words."""

    result: Any = None
    weight: Weight = Weight.FINE
    text: str = ""


class Processes(Protocol):
    """Does work on all ranks in processes other than these, see :mod:`lit_autotune.trials.group`."""

    def run(self, work: Callable[[], T], tell: Callable[..., None] | None = None) -> list[T]:
        """What the work returned, by rank; errors as of :func:`on_all_ranks`."""

    def watch(self, budget: Any) -> None:
        """End them if this rank's one takes more than its budget."""

    def close(self) -> None:
        """End them."""


def on_all_ranks(trainer: Any, function: Callable[[], T]) -> list[T]:
    """Call a function in each process, all alike in how it comes out.

    Returns:
        What it returned, by rank; one item if there is a single process.

    Raises:
        MemoryError: If it ran out of memory on any rank.
        TooLittleDataError: If the data were too little on any rank.
        OtherRankError: If it failed on another rank only. This rank's own error comes out as it is.
    """
    if trainer.world_size == 1:
        return [function()]
    result: T | None = None
    own: Exception | None = None
    try:
        result = function()
    except Exception as error:
        own = error
    import torch

    outcomes: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(outcomes, failure(own, weight_of(own)) if own else Outcome(result))
    try:
        return agreed(outcomes, own)
    finally:
        del own


def everywhere(sandbox: Any, work: Callable[[], T], tell: Callable[..., None] | None = None) -> list[T]:
    """Do some work that runs copies on all ranks: in this process, or in those that the sandbox has for it.

    Args:
        sandbox: Makes the copies.
        work: The work; if it is not done here it is pickled, but for the sandbox and ``tell``.
        tell: A function that the work calls, in this process wherever it runs.

    Raises:
        Exception: As :func:`on_all_ranks`.
    """
    processes: Processes | None = sandbox.processes
    return processes.run(work, tell) if processes else on_all_ranks(sandbox.trainer, work)


def fail_together(sandbox: Any) -> bool:
    """Whether a run of copies that fails on one rank fails on all, and no rank waits for one that has failed."""
    return bool(sandbox.trainer.world_size == 1 or sandbox.processes)


def failure(error: Exception, weight: Weight) -> Outcome:
    """The outcome of work that failed."""
    return Outcome(None, weight, f"{type(error).__name__}: {first_line(error)}")


def weight_of(error: Exception | None) -> Weight:
    """How serious an error is."""
    kinds = {TooLittleDataError: Weight.TOO_LITTLE_DATA, MemoryError: Weight.OUT_OF_MEMORY, Exception: Weight.FAILED}
    return next((weight for kind, weight in kinds.items() if isinstance(error, kind)), Weight.FINE)


def agreed(outcomes: Sequence[Outcome], own: Exception | None) -> list[Any]:
    """What work returned, by rank, or one error for all ranks: the most serious, that of the lowest rank.

    Raises:
        Exception: If it failed on any rank; this rank's own error if it is as serious as any.
    """
    worst = max(outcome.weight for outcome in outcomes)
    if worst == Weight.FINE:
        return [outcome.result for outcome in outcomes]
    if own is not None and worst == weight_of(own):
        try:
            raise own
        finally:
            del own  # it has this frame, and they would keep each other alive
    rank, text = next((rank, one.text) for rank, one in enumerate(outcomes) if one.weight == worst)
    raise ELSEWHERE[worst](f"on rank {rank}: {text}")


def mean(trainer: Any, value: float) -> float:
    """The mean of a value over all ranks."""
    if trainer.world_size == 1:
        return value
    import torch

    tensor = torch.tensor(value, dtype=torch.float32, device=trainer.strategy.root_device)
    return float(trainer.strategy.reduce(tensor, reduce_op="mean"))


def step_loss(trainer: Any, micro_losses: Sequence[float]) -> tuple[float, bool]:
    """The loss of an optimizer step, the same on all ranks, so that all stop at the same step; and whether it is known.

    A step of a few samples only, the last of an epoch, is none that diverged, nor one whose loss is missing.

    Args:
        trainer: The copied Trainer.
        micro_losses: The losses of its batches; none if all were too small to tell anything.
    """
    loss = mean(trainer, math.fsum(micro_losses) / len(micro_losses) if micro_losses else math.nan)
    return loss, mean(trainer, float(bool(micro_losses))) > 0
