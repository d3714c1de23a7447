"""Suggester ``drop``: where most of the fall is done."""

from lit_autotune.curves.readings import middle_of_longest_fall, mostly_fallen
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester


def suggest(curve: LRCurve) -> float:
    """Twice the rate at which the largest fall has gone 70 % of its way, kept within one to five times ``valley``.

    A fall that is over early, or a late one that is noise, would otherwise lead far off; ``valley`` is rarely too
    high and about five times too low.

    Raises:
        LRSuggestionError: If the loss never falls.
    """
    valley = middle_of_longest_fall(curve)
    return min(max(2 * mostly_fallen(curve), valley), 5 * valley)


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("drop", suggest, "where 70 % of the fall is done, kept near the valley")]
