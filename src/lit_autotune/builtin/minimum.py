"""Suggester ``minimum``: a tenth of the rate where the loss is lowest."""

from lit_autotune.curves.readings import lowest
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester


def suggest(curve: LRCurve) -> float:
    """``rate[argmin(smoothed)] / 10``: at the minimum itself training is about to diverge (fastai's rule of thumb).

    Raises:
        LRSuggestionError: If the lowest loss is the first one, so that it never fell.
    """
    return lowest(curve) / 10


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("minimum", suggest, "a tenth of the rate with the lowest loss")]
