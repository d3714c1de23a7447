"""Suggester ``consensus``: the middle one of three readings."""

import math
from statistics import median

from lit_autotune.errors import LRSuggestionError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.readings import LEAST_JUMPS, fall_in_jumps, last_harmless, readings
from lit_autotune.types import LRCurve, LRSuggester


def suggest(curve: LRCurve) -> float:
    """The median of twice the rate where 70 % of the fall is done, 3 x ``valley``, and 1/3 of the minimum's rate.

    Each fails on other curves: the first where the loss falls in two stages, the second where noise breaks up the
    descent, the third where the loss never climbs again. The one in the middle is wrong only if two fail alike.

    Where the loss falls by less than two of its typical jumps there is no fall to read, only noise and a cliff: then
    it is a third of the last rate at which the loss is no higher than at first.

    Raises:
        LRSuggestionError: If none of the three has an answer.
    """
    values = readings(curve)
    if not values:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    if fall_in_jumps(curve) < LEAST_JUMPS:
        return last_harmless(curve) / 3
    return math.exp(median(map(math.log, values)))


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("consensus", suggest, "middle one of three readings: most of the fall, valley, minimum")]
