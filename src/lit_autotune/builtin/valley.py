"""Suggester ``valley``: the middle of the longest descent."""

from lit_autotune.curves import smooth
from lit_autotune.errors import LRSuggestionError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester


def suggest(curve: LRCurve) -> float:
    """Half-way down the longest decreasing subsequence of the smoothed loss (fastai's default rule).

    With ``n`` the subsequence's length and ``e`` its last index, fastai's rule takes the point
    ``(e - n) + n/3 + n/6``: it uses the length as a distance. The first longest subsequence counts.

    Raises:
        LRSuggestionError: If no three points descend.
    """
    rates, losses = curve.finite()
    smoothed = smooth(losses)
    lengths: list[int] = []
    for i, value in enumerate(smoothed):
        lengths.append(1 + max((lengths[j] for j in range(i) if smoothed[j] > value), default=0))
    length = max(lengths)
    if length < 3:
        raise LRSuggestionError("the loss never falls over three points; raise lr_max, or lower lr_min")
    return rates[lengths.index(length) - length + int(length / 3) + int(length / 6)]


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("valley", suggest, "middle of the longest descent of the loss")]
