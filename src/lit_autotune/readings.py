"""What rules read off the curve of a range test: where the loss is lowest, has mostly fallen, falls longest."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from lit_autotune.curves import before_divergence, moving_average, smooth
from lit_autotune.errors import LRSuggestionError
from lit_autotune.types import LRCurve

FALLEN = 0.7
LEAST_JUMPS = 2
"""A fall of fewer typical jumps is noise."""


def points(curve: LRCurve) -> tuple[list[float], list[float]]:
    """The points with a finite loss up to where it diverged, as (learning rates, losses).

    Whether and when the test itself was stopped then makes no difference to a rule.
    """
    rates, losses = curve.finite()
    kept = list(before_divergence(losses))
    return rates[: len(kept)], kept


def averaged(curve: LRCurve) -> tuple[list[float], list[float]]:
    """The points as fastai's rules see them: a moving average without its first tenth and its last five points."""
    rates, losses = points(curve)
    part = slice(len(losses) // 10, max(len(losses) - 5, 0))
    return rates[part], moving_average(losses)[part]


def first_loss(losses: list[float]) -> float:
    """The loss before anything was learned: the median of the first tenth, of at least five steps."""
    return median(losses[: max(5, len(losses) // 10)])


def typical_jump(losses: Sequence[float]) -> float:
    """The noise: the median change of the loss from one step to the next."""
    return median(abs(after - before) for before, after in pairwise(losses)) if len(losses) > 1 else 0.0


def fall_in_jumps(curve: LRCurve) -> float:
    """How far the smoothed loss falls below the first one, in typical jumps; infinite without any noise."""
    _, losses = points(curve)
    fall, jump = first_loss(losses) - min(smooth(losses)), typical_jump(losses)
    return fall / jump if jump else math.copysign(math.inf, fall) if fall else 0.0


def last_harmless(curve: LRCurve) -> float:
    """The highest rate at which the smoothed loss is still no higher than at first, but for half a typical jump."""
    rates, losses = points(curve)
    level = first_loss(losses) + typical_jump(losses) / 2
    return max((rate for rate, loss in zip(rates, smooth(losses), strict=True) if loss <= level), default=rates[0])


def lowest(curve: LRCurve) -> float:
    """The rate where the smoothed loss is lowest.

    Raises:
        LRSuggestionError: If that is the first one, so that the loss never fell.
    """
    rates, losses = points(curve)
    smoothed = smooth(losses)
    index = smoothed.index(min(smoothed))
    if index == 0:
        raise LRSuggestionError("the loss is lowest at the first rate; lower lr_min")
    return rates[index]


def mostly_fallen(curve: LRCurve) -> float:
    """The rate at which the largest fall of the smoothed loss, over any stretch, has gone 70 % of its way.

    Raises:
        LRSuggestionError: If the smoothed loss never falls.
    """
    rates, losses = points(curve)
    smoothed = smooth(losses)
    top = start = end = 0
    for i, loss in enumerate(smoothed):
        top = i if loss > smoothed[top] else top
        if smoothed[top] - loss > smoothed[start] - smoothed[end]:
            start, end = top, i
    if end == 0:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    level = smoothed[start] - FALLEN * (smoothed[start] - smoothed[end])
    return next(rates[i] for i in range(start, end + 1) if smoothed[i] <= level)


def middle_of_longest_fall(curve: LRCurve) -> float:
    """The rate half-way down the longest decreasing subsequence of the loss: fastai's ``valley``.

    With ``n`` the subsequence's length and ``e`` its last index the answer is, as there, the point
    ``(e - n) + n/3 + n/6``: the length is used as a distance. The first longest subsequence counts.

    Raises:
        LRSuggestionError: If no three points descend.
    """
    rates, losses = averaged(curve)
    lengths: list[int] = []
    for i, value in enumerate(losses):
        lengths.append(1 + max((lengths[j] for j in range(i) if losses[j] > value), default=0))
    length = max(lengths, default=0)
    if length < 3:
        raise LRSuggestionError("the loss never falls over three points; raise lr_max, or lower lr_min")
    return rates[lengths.index(length) - length + int(length / 3) + int(length / 6)]


READINGS: tuple[tuple[Callable[[LRCurve], float], float], ...] = (
    (mostly_fallen, 2.0),
    (middle_of_longest_fall, 3.0),
    (lowest, 1 / 3),
)
"""Three readings that err independently, each with the factor from it to a good constant rate.

The factors were chosen on the development half of ``benchmarks/lr_suggestions``.
"""


def readings(curve: LRCurve) -> list[float]:
    """What each of :data:`READINGS` says, those left out that have no answer."""
    values = []
    for read, factor in READINGS:
        try:
            values.append(factor * read(curve))
        except LRSuggestionError:
            continue
    return sorted(values)
