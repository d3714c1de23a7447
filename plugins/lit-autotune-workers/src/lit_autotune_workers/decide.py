"""Which number of workers to take, from what was measured. Pure numbers."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

SLOWER = 1.1
"""A step that takes so many times as long is slower; less is noise."""


class Tried(NamedTuple):
    """What training with some workers came to.

    Attributes:
        workers: Processes that load data; 0 if the training process does it itself.
        prefetch: Batches that each loads ahead; ``None`` without workers, or where that is left alone.
        waiting: Share of a step that waits for data.
        seconds: Wall time of a batch, in seconds.
    """

    workers: int
    prefetch: int | None
    waiting: float
    seconds: float


def candidates(most: int, with_prefetch: bool) -> list[tuple[int, int | None]]:
    """What to try, cheapest first: workers, and batches that each loads ahead.

    Args:
        most: The most workers to try.
        with_prefetch: Whether that can be set.
    """
    default = 2 if with_prefetch else None
    powers = [1 << i for i in range(most.bit_length()) if 1 << i < most]
    tries: list[tuple[int, int | None]] = [(0, None), *((workers, default) for workers in (*powers, most) if workers)]
    return [*tries, (most, 4)] if with_prefetch and most else tries


def measured(waited: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Share of a step that waits, and the wall time of a batch, from the second half: queues are filled then.

    Args:
        waited: Seconds before each batch but the first.
        seconds: Wall time of each step, per batch.
    """
    waits, times = waited[len(waited) // 2 :], seconds[len(seconds) // 2 :]
    seconds_per_batch = fmean(times)
    return min(1.0, fmean(waits) / seconds_per_batch) if waits else 0.0, seconds_per_batch


def hides(tried: Tried, present: Tried, most_waiting: float) -> bool:
    """Whether the loading is hidden behind the computation, and nothing is lost for that."""
    return tried.waiting <= most_waiting and tried.seconds <= SLOWER * present.seconds
