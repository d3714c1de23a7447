"""Suggester ``valley``: the middle of the longest descent."""

from lit_autotune.curves.readings import middle_of_longest_fall
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester


def suggest(curve: LRCurve) -> float:
    """Half-way down the longest decreasing subsequence of the loss, exactly as fastai's default rule reads it.

    Raises:
        LRSuggestionError: If no three points descend.
    """
    return middle_of_longest_fall(curve)


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("valley", suggest, "middle of the longest descent of the loss")]
