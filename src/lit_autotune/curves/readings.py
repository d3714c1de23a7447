"""What rules read off the curve of a range test: where the loss is lowest, has mostly fallen, falls longest."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import median

from lit_autotune.curves.formulas import before_divergence, moving_average, smooth
from lit_autotune.curves.points import Curve
from lit_autotune.errors import LRSuggestionError

FALLEN = 0.7
BEGUN = 0.3
GRADUAL = 0.9
"""Decades from 30 % of the fall to its end. A fall within fewer is steep; see :func:`steepness`."""
REACH = 10.0
LEAST_JUMPS = 2
"""A fall of fewer typical jumps is noise."""


Points = tuple[tuple[float, ...], tuple[float, ...]]


@lru_cache(maxsize=8)  # all rules, and the judgement of each, begin with it
def points(curve: Curve) -> Points:
    """The points with a finite loss up to where it diverged, as (learning rates, losses).

    Whether and when the test itself was stopped then makes no difference to a rule.
    """
    rates, losses = curve.finite()
    kept = before_divergence(losses)
    return tuple(rates[: len(kept)]), tuple(kept)


@lru_cache(maxsize=8)
def smoothed_points(curve: Curve) -> Points:
    """The same points with the losses smoothed without lag."""
    rates, losses = points(curve)
    return rates, tuple(smooth(losses))


def averaged(curve: Curve) -> tuple[Sequence[float], list[float]]:
    """The points as fastai's rules see them: a moving average without its first tenth and its last five points."""
    rates, losses = points(curve)
    part = slice(len(losses) // 10, max(len(losses) - 5, 0))
    return rates[part], moving_average(losses)[part]


def first_loss(losses: Sequence[float]) -> float:
    """The loss before anything was learned: the median of the first tenth, of at least five steps."""
    return median(losses[: max(5, len(losses) // 10)])


def typical_jump(losses: Sequence[float]) -> float:
    """The noise: the median change of the loss from one step to the next."""
    return median(abs(after - before) for before, after in pairwise(losses)) if len(losses) > 1 else 0.0


def fall_in_jumps(curve: Curve) -> float:
    """How far the smoothed loss falls below the first one, in typical jumps; infinite without any noise."""
    _, losses = points(curve)
    _, smoothed = smoothed_points(curve)
    fall, jump = first_loss(losses) - min(smoothed), typical_jump(losses)
    return fall / jump if jump else math.copysign(math.inf, fall) if fall else 0.0


def last_harmless(curve: Curve) -> float:
    """The highest rate at which the smoothed loss is still no higher than at first, but for half a typical jump."""
    _, losses = points(curve)
    rates, smoothed = smoothed_points(curve)
    level = first_loss(losses) + typical_jump(losses) / 2
    return max((rate for rate, loss in zip(rates, smoothed, strict=True) if loss <= level), default=rates[0])


TURNED_UP = 0.1
"""Share of its fall that a loss lies above its lowest point somewhere in the last tenfold of the rates, if it turns."""


def turns_up(curve: Curve) -> bool:
    """Whether the loss leaves its lowest level again at the highest rates, by more than its noise, or diverges.

    With normalized steps (Adafactor, LAMB) it may stay there to the end: then where it is lowest means nothing.
    """
    rates, losses = points(curve)
    _, smoothed = smoothed_points(curve)
    if curve.diverged or rates[-1] < curve.learning_rates[-1] or rates[-1] / rates[0] < REACH:
        return True
    bottom = min(smoothed)
    highest = max(loss for rate, loss in zip(rates, smoothed, strict=True) if rate >= rates[-1] / REACH)
    return highest - bottom > max(TURNED_UP * (first_loss(losses) - bottom), typical_jump(losses) / 2)


def lowest(curve: Curve) -> float:
    """The rate where the smoothed loss is lowest.

    Raises:
        LRSuggestionError: If that is the first one, so that the loss never fell; or if it never turns up again.
    """
    rates, smoothed = smoothed_points(curve)
    if not turns_up(curve):
        raise LRSuggestionError("the loss never turns up again, so that its lowest point means nothing; raise lr_max")
    index = smoothed.index(min(smoothed))
    if index == 0:
        raise LRSuggestionError("the loss is lowest at the first rate; lower lr_min")
    return rates[index]


def mostly_fallen(curve: Curve) -> float:
    """The rate at which the largest fall of the smoothed loss, over any stretch, has gone 70 % of its way.

    Raises:
        LRSuggestionError: If the smoothed loss never falls.
    """
    rates, smoothed = smoothed_points(curve)
    top = start = end = 0
    for i, loss in enumerate(smoothed):
        top = i if loss > smoothed[top] else top
        if smoothed[top] - loss > smoothed[start] - smoothed[end]:
            start, end = top, i
    if end == 0:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    level = smoothed[start] - FALLEN * (smoothed[start] - smoothed[end])
    return next(rates[i] for i in range(start, end + 1) if smoothed[i] <= level)


def first_fallen(curve: Curve, share: float = FALLEN) -> float:
    """The first rate at which the smoothed loss has gone ``share`` of the way from the first loss to its lowest.

    Unlike in :func:`mostly_fallen` a later fall, back from a spike, does not count.

    Raises:
        LRSuggestionError: If the smoothed loss is never below the first one, or lowest at once.
    """
    _, losses = points(curve)
    rates, smoothed = smoothed_points(curve)
    start, bottom = first_loss(losses), min(smoothed)
    if bottom >= start or bottom == smoothed[0]:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    level = max(start - share * (start - bottom), bottom)  # rounding must not put it below the lowest
    return next(rate for rate, loss in zip(rates, smoothed, strict=True) if loss <= level)


def steepness(curve: Curve) -> float:
    """A factor of at most one: the decades from 30 % of the fall to the lowest loss, as a share of :data:`GRADUAL`.

    Training takes some steps to bring a loss down, and the test raises the rate meanwhile. Where the whole fall fits
    into a few steps, the rates at which it shows are higher than those that set it off. On the benchmark such curves,
    and no others, were read as too high.
    """
    try:
        width = math.log10(lowest(curve) / first_fallen(curve, BEGUN))
    except LRSuggestionError:
        return 1.0
    rates, _ = points(curve)
    return min(1.0, max(width, math.log10(rates[1] / rates[0])) / GRADUAL)  # a step of the ladder is the least width


@lru_cache(maxsize=8)  # of all readings the slow one, and the judgement of each rule asks for it
def middle_of_longest_fall(curve: Curve) -> float:
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


READINGS: tuple[tuple[Callable[[Curve], float], float], ...] = (
    (first_fallen, 1.5),
    (middle_of_longest_fall, 2.0),
    (lowest, 1 / 3),
)
"""Three readings that err independently, each with the factor from it to a good constant rate.

The factors were chosen on the tasks of ``benchmarks/lr_suggestions``. They are round: they lie on a plateau.
"""


def near_the_fall(curve: Curve, rate: float) -> float:
    """The rate, kept within :data:`REACH` times of the first of :data:`READINGS`, if that has an answer.

    A loss that fell early and then stays low, as that of a dead net does, has its lowest point anywhere.
    """
    read, factor = READINGS[0]
    try:
        fallen = factor * read(curve)
    except LRSuggestionError:
        return rate
    return min(max(rate, fallen / REACH), fallen * REACH)


def readings(curve: Curve) -> list[float]:
    """What each of :data:`READINGS` says, those left out that have no answer."""
    values = []
    for read, factor in READINGS:
        try:
            values.append(factor * read(curve))
        except LRSuggestionError:
            continue
    return sorted(values)
