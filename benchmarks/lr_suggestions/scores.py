"""What a suggestion is worth: its regret, read off the ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lr_suggestions import truth
from benchmarks.lr_suggestions.results import Key

BAD = 0.2
"""Regret above this is bad."""


@dataclass(frozen=True)
class Verdict:
    """One suggestion.

    Attributes:
        task: Name of the task.
        window: Range of the range test.
        seed: Seed of the range test.
        value: The suggestion, ``None`` if there was none.
        regret: 0 is the best rate of the grid, 1 is as bad as untrained. No suggestion counts as untrained.
        is_close: Whether training ends within 10 % of the best loss (and 1 % of the first).
        diverges: Whether training ends above the first loss.
        is_doubtful: Whether our flag was up.
    """

    task: str
    window: str
    seed: int
    value: float | None
    regret: float
    is_close: bool
    diverges: bool
    is_doubtful: bool = False


class Truth:
    """How training ends on a task, at each rate of the grid, as the mean over seeds.

    Between two rates of the grid losses are interpolated linearly in the logarithm of the rate, which is a little
    unkind to a suggestion between two good ones. A loss counts at most as the first one.
    """

    def __init__(self, task: str, results: dict[Key, Any]):
        self.task = task
        self.logs = np.log10(truth.GRID)
        first = np.array([results["truth", task, 0.0, seed] for seed in truth.SEEDS])
        ends = np.array([[results["truth", task, rate, seed] for seed in truth.SEEDS] for rate in truth.GRID])
        capped = np.minimum(ends, first)
        self.first, self.losses = float(first.mean()), capped.mean(axis=1)
        self.best = int(self.losses.argmin())
        self.regrets = ((capped - capped[self.best]) / (first - capped[self.best])).clip(0, 1).mean(axis=1)
        self.diverging = (ends > first + 0.01 * np.abs(first)).mean(axis=1)

    def judge(self, window: str, seed: int, value: float | None, is_doubtful: bool = False) -> Verdict:
        """The worth of a suggestion."""
        if value is None:
            return Verdict(self.task, window, seed, None, 1.0, False, False, is_doubtful)
        regret, loss, diverging = (
            float(np.interp(np.log10(value), self.logs, values))
            for values in (self.regrets, self.losses, self.diverging)
        )
        best = float(self.losses[self.best])
        close = loss <= best + 0.1 * abs(best) + 0.01 * abs(self.first)
        return Verdict(self.task, window, seed, value, regret, close, diverging >= 0.5, is_doubtful)


def spread(verdicts: Sequence[Verdict]) -> float:
    """Standard deviation over seeds of the suggestion's logarithm, in decades, as the mean over tasks and ranges."""
    groups: dict[tuple[str, str], list[float]] = {}
    for verdict in verdicts:
        if verdict.value is not None:
            groups.setdefault((verdict.task, verdict.window), []).append(np.log10(verdict.value))
    deviations: list[NDArray[np.float64]] = [np.std(logs, ddof=1) for logs in groups.values() if len(logs) > 1]
    return float(np.mean(deviations))
