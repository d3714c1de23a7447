"""Suggester ``minimum``: a tenth of the rate where the loss is lowest."""

from lit_autotune.curves import smooth
from lit_autotune.errors import LRSuggestionError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester


def suggest(curve: LRCurve) -> float:
    """``rate[argmin(smoothed)] / 10``: at the minimum itself training is about to diverge (fastai's rule of thumb).

    Raises:
        LRSuggestionError: If the lowest loss is the first one, so that it never fell.
    """
    rates, losses = curve.finite()
    smoothed = smooth(losses)
    lowest = smoothed.index(min(smoothed))
    if lowest == 0:
        raise LRSuggestionError("the loss is lowest at the first rate; lower lr_min")
    return rates[lowest] / 10


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("minimum", suggest, "a tenth of the rate with the lowest loss")]
