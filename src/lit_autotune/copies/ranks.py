"""What several processes find, and how they agree on the outcome of a trial.

An out-of-memory error on one rank inside a collective would leave the others waiting for ever. So a trial runs on
each rank alone, on its own device and its own share of the data, and the ranks compare their outcomes afterwards.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from lit_autotune._shared.text import first_line
from lit_autotune.errors import OtherRankError, TooLittleDataError

T = TypeVar("T")

OUTCOMES = (TooLittleDataError, MemoryError, Exception)
"""How a trial can fail, the most serious last."""


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
    torch.distributed.all_gather_object(
        outcomes, (result, _weight(own), f"{type(own).__name__}: {own and first_line(own)}")
    )
    worst = max(weight for _, weight, _ in outcomes)
    if worst and _weight(own) == worst:
        raise own  # type: ignore[misc]
    for rank, (_, weight, text) in enumerate(outcomes):
        if worst and weight == worst:
            raise (TooLittleDataError, MemoryError, OtherRankError)[worst - 1](f"on rank {rank}: {text}")
    return [result for result, _, _ in outcomes]


def _weight(error: Exception | None) -> int:
    if error is None:
        return 0
    return next(weight for weight, kind in enumerate(OUTCOMES, 1) if isinstance(error, kind))


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
