"""Suggester ``slide``: the last descent before the loss climbs."""

import math

from lit_autotune.curves.formulas import log_slopes
from lit_autotune.curves.readings import averaged
from lit_autotune.errors import LRSuggestionError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester

DECADES = 1.2
THRESHOLD = 0.4


def suggest(curve: LRCurve) -> float:
    """The lower end of the highest window of 1.2 decades whose slopes at both ends are alike.

    After fastai's ``slide``, which moves a window of 15 points down from the last rate for as long as the slopes at
    its two ends differ by more than 0.005. That number has the unit of the loss, so that a squared error of 25,000
    never ends and one of 0.01 never begins. Here a slope is the share of the whole fall per decade, and the window is
    as wide in decades as fastai's is on its default range.

    Raises:
        LRSuggestionError: If the averaged loss never falls.
    """
    rates, losses = averaged(curve)
    fall = losses[0] - min(losses) if losses else 0.0
    if fall <= 0:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    slopes = [slope * math.log(10) / fall for slope in log_slopes(rates, losses)]
    left = right = len(rates) - 1
    while left > 0:
        left = max((i for i in range(right) if rates[i] <= rates[right] / 10**DECADES), default=0)
        if abs(slopes[right] - slopes[left]) <= THRESHOLD:
            break
        right -= 1
    return rates[left]


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("slide", suggest, "last descent before the loss climbs")]
