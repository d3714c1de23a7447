"""Suggester ``steepest``: where the loss falls fastest."""

from lit_autotune.curves.formulas import log_slopes
from lit_autotune.curves.readings import smoothed_points
from lit_autotune.errors import LRSuggestionError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester


def suggest(curve: LRCurve) -> float:
    """The rate with the most negative slope ``d loss / d log(rate)`` of the smoothed curve, up to its minimum.

    After Smith (2015). The slope is per *logarithm* of the rate: per plain rate it would be divided by the rate, and
    noise at 1e-8 would outweigh any real fall at 1e-2.

    Raises:
        LRSuggestionError: If the smoothed loss never falls.
    """
    rates, smoothed = smoothed_points(curve)
    slopes = log_slopes(rates, smoothed)
    until = smoothed.index(min(smoothed)) + 1
    steepest = min(range(until), key=slopes.__getitem__)
    if slopes[steepest] >= 0:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    return rates[steepest]


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("steepest", suggest, "steepest fall of the loss per log learning rate")]
