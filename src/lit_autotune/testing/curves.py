"""Curves of LR range tests that were never run, the same each time."""

import math
import random
from collections.abc import Callable, Mapping, Sequence

from lit_autotune.curves.formulas import lr_ladder
from lit_autotune.types import LRCurve

LR_MIN, LR_MAX, POINTS = 1e-8, 1.0, 100


def valley(noise: float = 0.02) -> list[float]:
    """Losses of an ordinary range test: a noisy plateau, a fall from 1e-4 to 1e-2, an explosion from 1e-1.

    Args:
        noise: Standard deviation of the noise, in units of the loss. The fall is 2.
    """
    generator = random.Random(0)
    logs = [math.log10(rate) for rate in lr_ladder(LR_MIN, LR_MAX, POINTS)]
    return [2.3 - 2 / (1 + math.exp(-3 * x - 9)) + math.exp(4 * x + 2) + generator.gauss(0, noise) for x in logs]


def curve_of(losses: Sequence[float]) -> LRCurve:
    """A curve with these losses, at rates from 1e-8 to 1."""
    return LRCurve(learning_rates=tuple(lr_ladder(LR_MIN, LR_MAX, len(losses))), losses=tuple(losses))


def valley_curve() -> LRCurve:
    """An ordinary curve, as :func:`valley` has it."""
    return curve_of(valley())


def noisy_curve() -> LRCurve:
    """An ordinary curve whose noise is a fifth of the fall; the loss stays above zero."""
    return curve_of([loss + 2 for loss in valley(noise=0.4)])


def flat_curve() -> LRCurve:
    """The loss is the same everywhere: there is no answer."""
    return curve_of([1.0] * POINTS)


def rising_curve() -> LRCurve:
    """The loss only rises: the range began too high."""
    return curve_of([1.0 + i for i in range(POINTS)])


def diverging_curve() -> LRCurve:
    """An ordinary curve that ends in numbers that no longer fit: huge, then infinite."""
    losses = valley()
    return curve_of([*losses[:-8], 1e12, 1e30, 1e300, *[math.inf] * 5])


def negative_curve() -> LRCurve:
    """An ordinary curve far below zero, as of a log likelihood."""
    return curve_of([loss - 1000 for loss in valley()])


def nan_curve() -> LRCurve:
    """An ordinary curve with every seventh loss missing, and the last."""
    return curve_of([math.nan if i % 7 == 0 else x for i, x in enumerate(valley()[:-1])] + [math.inf])


def plateau_curve() -> LRCurve:
    """The loss falls once, at low rates, and stays there to the end: it never diverges."""
    logs = [math.log10(rate) for rate in lr_ladder(LR_MIN, LR_MAX, POINTS)]
    return curve_of([2.3 - 2 / (1 + math.exp(-3 * x - 12)) for x in logs])


def short_curve() -> LRCurve:
    """As few points as a rule is ever asked about, falling."""
    return curve_of([5.0, 4.0, 3.0, 2.0, 1.0])


CURVES: Mapping[str, Callable[[], LRCurve]] = {
    "a valley": valley_curve,
    "a noisy curve": noisy_curve,
    "a flat curve": flat_curve,
    "a rising curve": rising_curve,
    "negative losses": negative_curve,
    "missing losses": nan_curve,
    "a diverging curve": diverging_curve,
    "a plateau": plateau_curve,
    "few falling points": short_curve,
}
"""All curves, by what they show."""
