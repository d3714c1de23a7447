"""How peak memory grows with the batch size, from the trials so far. Pure numbers.

The peak is convex: flat while the optimizer's step decides it, then exactly linear in the batch size. So a line through
two small sizes always promises too much, and only slopes that agree are believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lit_autotune.types import BatchSizeTrial

AGREEMENT = 0.1
"""Successive slopes that differ by less than this share are taken for one line."""

NOISE = 0.04
"""Peaks closer together than this share of the budget say nothing about a slope: allocators and kernels add as much."""


@dataclass(frozen=True, slots=True)
class MemoryModel:
    """What the trials say about one budget.

    Attributes:
        budget: Memory that may be taken, in bytes.
        points: Batch sizes with their peaks in bytes, ascending.
    """

    budget: int
    points: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, trials: Iterable[BatchSizeTrial], budget: int | None) -> "MemoryModel | None":
        """The model of the trials; ``None`` without a budget or without a measured peak."""
        points = sorted((trial.batch_size, trial.peak_bytes) for trial in trials if trial.peak_bytes is not None)
        return cls(budget, tuple(points)) if budget is not None and points else None

    @property
    def largest(self) -> int | None:
        """The largest size that is promised to fit the budget; ``None`` while memory has not grown."""
        if self.line is None:
            return None
        start, slope = self.line
        return int((self.budget - start) / slope)

    @property
    def line(self) -> tuple[float, float] | None:
        """The line that leads to the budget, or across it: its start and its slope, in bytes.

        It ends at the smallest size beyond the budget or, if there is none, at the largest.
        """
        high, above = next((point for point in self.points if point[1] > self.budget), self.points[-1])
        for low, below in reversed(self.points):
            if low < high and below <= self.budget and above - below > NOISE * self.budget:
                slope = (above - below) / (high - low)
                return below - slope * low, slope
        return None

    @property
    def sure(self) -> bool:
        """Whether the promise can be relied on: the line is proven, or it only has to be followed between points."""
        if self.points[-1][1] > self.budget:
            return True
        if len(self.points) < 3:
            return False
        (a, at_a), (b, at_b), (c, at_c) = self.points[-3:]
        before, last = (at_b - at_a) / (b - a), (at_c - at_b) / (c - b)
        return at_b - at_a > NOISE * self.budget and abs(last - before) <= AGREEMENT * last
