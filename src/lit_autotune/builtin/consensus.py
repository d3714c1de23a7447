"""Suggester ``consensus``: the middle one of three readings, kept where it is safe."""

import math
from statistics import median

from lit_autotune.curves.readings import LEAST_JUMPS, fall_in_jumps, last_harmless, near_the_fall, readings, steepness
from lit_autotune.errors import LRSuggestionError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester

SAFE = 0.25
"""Share of the last harmless rate. With a third 0.8 % of the benchmark's suggestions diverged, with a quarter none."""


def suggest(curve: LRCurve) -> float:
    """The median of 1.5 x the rate where 70 % of the fall is done, 2 x ``valley``, and 1/3 of the minimum's rate.

    Each fails on other curves: the first where the loss falls in two stages, the second where noise breaks up the
    descent, the third where the loss never climbs again. The one in the middle is wrong only if two fail alike.

    It is kept within ten times of the first of the three, and at most a quarter of the last rate at which the loss is
    no higher than at first. Where the fall is steep it is lowered; see :func:`~lit_autotune.curves.readings.steepness`.

    Where the loss falls by less than two of its typical jumps there is no fall to read, only noise and a cliff: then
    it is that quarter itself.

    Raises:
        LRSuggestionError: If none of the three has an answer.
    """
    values = readings(curve)
    if not values:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    limit = SAFE * last_harmless(curve)
    if fall_in_jumps(curve) < LEAST_JUMPS:
        return limit
    return min(near_the_fall(curve, math.exp(median(map(math.log, values)))), limit) * steepness(curve)


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("consensus", suggest, "middle one of three readings: most of the fall, valley, minimum")]
