"""Mathematics of the LR range test on plain numbers: the ladder of rates, smoothing, slopes, divergence."""

import math
import statistics
from collections.abc import Sequence

MEDIAN_WIDTH = 5
GAUSSIAN_SIGMA = 7 / (2 * math.sqrt(2 * math.log(2)))
"""Standard deviation, in points, of a Gaussian whose full width at half maximum is 7 points."""


def lr_ladder(lr_min: float, lr_max: float, steps: int, mode: str = "exponential") -> list[float]:
    """Learning rates from ``lr_min`` to ``lr_max``: equally spaced in their logarithm (Smith 2015), or as they are."""
    if steps == 1:
        return [lr_min]
    shares = [step / (steps - 1) for step in range(steps - 1)]
    if mode == "linear":
        return [lr_min + (lr_max - lr_min) * share for share in shares] + [lr_max]
    return [lr_min * (lr_max / lr_min) ** share for share in shares] + [lr_max]


def smooth(values: Sequence[float]) -> list[float]:
    """Smooth without lag: a centred running median against spikes, then a centred Gaussian; edges repeat.

    An exponential moving average, which other tools use, shifts every feature of the curve towards higher rates.
    """
    half = MEDIAN_WIDTH // 2
    padded = _pad(values, half)
    medians = [statistics.median(padded[i : i + MEDIAN_WIDTH]) for i in range(len(values))]
    reach = math.ceil(3 * GAUSSIAN_SIGMA)
    weights = [math.exp(-0.5 * (offset / GAUSSIAN_SIGMA) ** 2) for offset in range(-reach, reach + 1)]
    total = sum(weights)
    padded = _pad(medians, reach)
    return [
        sum(weight * value for weight, value in zip(weights, padded[i : i + len(weights)], strict=True)) / total
        for i in range(len(values))
    ]


def _pad(values: Sequence[float], count: int) -> list[float]:
    return [values[0]] * count + list(values) + [values[-1]] * count


def log_slopes(learning_rates: Sequence[float], losses: Sequence[float]) -> list[float]:
    """Slope of the loss per natural logarithm of the learning rate: central differences, one-sided at the ends."""
    logs = [math.log(rate) for rate in learning_rates]
    last = len(losses) - 1
    slopes = []
    for i in range(len(losses)):
        low, high = max(i - 1, 0), min(i + 1, last)
        slopes.append((losses[high] - losses[low]) / (logs[high] - logs[low]))
    return slopes


def moving_average(values: Sequence[float], beta: float = 0.98) -> list[float]:
    """Exponential moving average with exact bias correction, as fastai records losses. It lags behind."""
    means: list[float] = []
    for count, value in enumerate(values, 1):
        before = means[-1] if means else value
        means.append(before + (value - before) * (1 - beta) / (1 - beta**count))
    return means


def before_divergence(losses: Sequence[float]) -> Sequence[float]:
    """The losses up to where :class:`DivergenceMonitor` stops; of a test that it stopped already, all of them."""
    monitor = DivergenceMonitor()
    return losses[: next((i for i, loss in enumerate(losses, 1) if monitor.update(loss)), len(losses))]


class DivergenceMonitor:
    """Says when a range test has diverged. Works for losses of any sign and size.

    The loss is smoothed by an exponential moving average with exact bias correction, ``m_k / (1 - beta^k)``. It has
    diverged once it lies more than ``threshold`` scales above where it began, a scale being the largest of: how far
    it has fallen so far, how much it jumps from step to step, and a tenth of its size at the start. A ratio to the
    best loss, which other tools use, stops at once where losses are negative or begin near zero.
    """

    BETA = 0.9
    WARM_UP = 10
    """Steps before it judges: a mean of fewer is noise, and so would be the level that others are measured against."""

    def __init__(self, threshold: float | None = 4.0, max_missing: int = 5):
        self._threshold = math.inf if threshold is None else threshold
        self._max_missing = max_missing
        self._mean = 0.0
        self._count = 0
        self._missing = 0
        self._jumps: list[float] = []
        self._first = self._last = self._best = math.nan

    def update(self, loss: float) -> bool:
        """Take the loss of the next step; true if the test should stop."""
        if not math.isfinite(loss):
            self._missing += 1
            return self._missing >= self._max_missing
        self._missing = 0
        self._count += 1
        self._mean = self.BETA * self._mean + (1 - self.BETA) * loss
        smoothed = self._mean / (1 - self.BETA**self._count)
        if self._count > 1:
            self._jumps.append(abs(loss - self._last))
        self._last = loss
        if self._count < self.WARM_UP:
            return False
        if self._count == self.WARM_UP:
            self._first = self._best = smoothed
        self._best = min(self._best, smoothed)
        # The median is robust: the very explosion that is looked for must not widen its own bound.
        scale = max(self._first - self._best, statistics.median(self._jumps), 0.1 * abs(self._first))
        return scale > 0 and smoothed > self._first + self._threshold * scale
