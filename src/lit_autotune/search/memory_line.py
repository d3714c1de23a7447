"""How peak memory grows with the batch size, from the trials so far. Pure numbers.

The peak is convex: flat while the optimizer's step decides it, then exactly linear in the batch size. So a line through
two small sizes always promises too much, and only slopes that agree are believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, takewhile

from lit_autotune.types import BatchSizeTrial

AGREEMENT = 0.1
"""Successive slopes that differ by less than this share are taken for one line."""

NOISE = 0.04
"""Peaks closer together than this share of the room say nothing about a slope: allocators and kernels add as much."""

GRAIN = 0.005
"""Where slopes agree there is little noise, and peaks this share of the room apart say enough."""


@dataclass(frozen=True, slots=True)
class MemoryModel:
    """What the trials say about one budget.

    Attributes:
        budget: Memory that may be taken, in bytes.
        points: Batch sizes with their peaks in bytes, ascending; none above the first that is over the budget.
        base: What is taken without any sample, in bytes, as far as it is known.
        noise: The most, in bytes, that a size took more than a larger one: 0 where peaks are exact.
    """

    budget: int
    points: tuple[tuple[int, int], ...]
    base: int = 0
    noise: int = 0

    @classmethod
    def of(cls, trials: Iterable[BatchSizeTrial], budget: int | None, base: int = 0) -> "MemoryModel | None":
        """The model of the trials; ``None`` without a budget or without a measured peak."""
        points = sorted((trial.batch_size, trial.peak_bytes) for trial in trials if trial.peak_bytes is not None)
        if budget is None or not points:
            return None
        within = sum(1 for _ in takewhile(lambda point: point[1] <= budget, points))
        noise = max((smaller - larger for (_, smaller), (_, larger) in pairwise(points)), default=0)
        return cls(budget, tuple(points[: within + 1]), base, max(noise, 0))

    @property
    def room(self) -> int:
        """What the smallest size leaves of the budget, in bytes."""
        return self.budget - self.points[0][1]

    @property
    def largest(self) -> int | None:
        """The largest size that is promised to fit the budget; ``None`` while memory has not grown."""
        if self.line is None:
            return None
        start, slope = self.line
        return int((self.budget - start) / slope)

    @property
    def line(self) -> tuple[float, float] | None:
        """The line that leads to the budget, or across it: its start and its slope, in bytes."""
        high, above = self.points[-1]
        grown = GRAIN * self.room if self._is_straight else max(NOISE * self.room, self.noise)
        for low, below in reversed(self.points[:-1]):
            if above - below > grown:
                slope = (above - below) / (high - low)
                return below - slope * low, slope
        return None

    @property
    def sure(self) -> bool:
        """Whether the promise can be relied on: the line is proven, or it only has to be followed between points."""
        return self.points[-1][1] > self.budget or self._is_straight

    @property
    def certain(self) -> int:
        """The largest size that fits if what is taken beyond the base grows in proportion: it never grows faster."""
        room = self.budget - self.base
        least = NOISE * room if self.base else 1  # a base that was measured, too, is no more exact than the peaks
        taken = ((size, max(peak - self.base, least)) for size, peak in self.points if peak <= self.budget)
        return max((int(size * room / more) for size, more in taken), default=0)

    def tells_apart(self, size: int, larger: int) -> bool:
        """Whether the peaks of two sizes differ by more than their noise."""
        return self.line is None or (larger - size) * self.line[1] > self.noise

    @property
    def _is_straight(self) -> bool:
        """Whether the three largest sizes lie on one line."""
        if len(self.points) < 3:
            return False
        last = self.points[-3:]
        (_, below), (_, between), _ = last
        before, after = ((there - here) / (b - a) for (a, here), (b, there) in pairwise(last))
        return between - below > GRAIN * self.room and abs(after - before) <= AGREEMENT * after
