"""Races: which of a few neighbouring learning rates trains best? Pure, knows neither torch nor models."""

import math
from collections.abc import Callable

from lit_autotune._shared.record import MaybeNaN, Record
from lit_autotune.planning.preview import Preview, fall, is_better

FACTOR = 10 ** (1 / 3)
"""Between neighbours, about 2.15. Of those 3.2 times apart fewer came within 10 % of the best rate."""

HORIZON = 0.3
"""The best rate of a short training is too high for a longer one: it falls as this power of the number of steps.

On recorded trainings of 400 steps, of which races had 20 to 150, powers of 0.2 to 0.4 did best.
"""

LEAST_SHARE = 0.05
"""Shorter ones were not recorded; no more is taken off for them."""

RUNS = 4
"""At most so many runs: a suggestion, a neighbour on each side, and one more beyond the better one."""


class Heat(Record):
    """One rate's run.

    Attributes:
        learning_rate: The rate that was set.
        losses: The training loss of each step.
        score: The loss on held-out batches at the end, infinite if the run diverged.
    """

    learning_rate: float
    losses: tuple[MaybeNaN, ...]
    score: float

    @property
    def outcome(self) -> str:
        """The score in words."""
        return "diverged" if self.score == math.inf else f"loss {self.score:.4g}"


class Race:
    """Runs a rate and its neighbours, climbing to the best.

    Args:
        run: Takes a rate and previews the training with it, *from the same state on the same batches* each time.
        center: Where to begin, such as a suggestion.
        share: The share of the training that a run goes through.
        max_runs: At most this many runs.

    Attributes:
        runs: What each rate came to, in the order they were run.
    """

    def __init__(self, run: Callable[[float], Preview], center: float, share: float, max_runs: int = RUNS):
        self.runs: dict[float, Preview] = {center: run(center)}
        self._center, self._share = center, share
        place, step = 0, self._first_direction(run)
        while len(self.runs) < max_runs:
            place += step
            rate = center * FACTOR**place
            if rate not in self.runs:
                self.runs[rate] = run(rate)
            if self.best != rate:
                break

    def _first_direction(self, run: Callable[[float], Preview]) -> int:
        """Towards lower rates, unless the next higher one is better."""
        higher = self._center * FACTOR
        self.runs[higher] = run(higher)
        return 1 if self.best == higher else -1

    @property
    def best(self) -> float:
        """The rate that ended lowest; the lowest of those that did."""
        return ranked(self.runs)[0]

    @property
    def heats(self) -> tuple[Heat, ...]:
        """The runs, best first."""
        return tuple(
            Heat(learning_rate=rate, losses=self.runs[rate].losses, score=self.runs[rate].score)
            for rate in ranked(self.runs)
        )

    @property
    def verdict(self) -> float | None:
        """The lowest rate that is as good as the best, as it would be for the whole training.

        ``None`` if all diverged.
        """
        if not math.isfinite(self.runs[self.best].score):
            return None
        return lowest_of_equals(self.runs) * lowering(self._share)


def lowering(share: float) -> float:
    """By what to multiply the best rate of a training that is cut to a share, for the whole of it."""
    return float(max(share, LEAST_SHARE) ** HORIZON)


def ranked(runs: dict[float, Preview]) -> list[float]:
    """The rates, the one that ended lowest first; of equals the lower one."""
    return sorted(runs, key=lambda rate: (runs[rate].score, rate))


def lowest_of_equals(runs: dict[float, Preview]) -> float:
    """The lowest rate whose preview is not worse than the best one's beyond noise."""
    best = ranked(runs)[0]
    scale = fall(list(runs.values()))
    equals = [rate for rate in runs if rate <= best and not is_better(runs[best], runs[rate], scale)]
    return min(equals, default=best)
