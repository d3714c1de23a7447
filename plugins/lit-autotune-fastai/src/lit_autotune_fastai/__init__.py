"""Suggesters ``fastai-valley``, ``fastai-slide``, ``fastai-minimum`` and ``fastai-steep``: fastai's four rules.

What fastai's ``lr_find`` does before it asks them is done here, too: losses are smoothed as its Recorder does, the
curve ends where they exceed four times their lowest value, its first tenth and its last five points are left out.
"""

import itertools
import math
from collections.abc import Callable

from lit_autotune import LRCurve, LRSuggester, LRSuggestionError, hookimpl

BETA = 0.98
DIVERGED = 4.0
SKIPPED_AT_END = 5
WINDOW = 15
THRESHOLD = 0.005

Points = tuple[list[float], list[float]]


def recorded(curve: LRCurve) -> Points:
    """The points that fastai's rules see, as (learning rates, smoothed losses).

    Raises:
        LRSuggestionError: If fewer than three are left.
    """
    mean, lowest = 0.0, math.inf
    smoothed: list[float] = []
    for count, loss in enumerate(curve.losses, start=1):
        mean = BETA * mean + (1 - BETA) * loss
        value = mean / (1 - BETA**count)
        smoothed.append(value)
        lowest = min(lowest, value)
        if value > DIVERGED * lowest:
            break
    part = slice(len(curve.losses) // 10, max(len(smoothed) - SKIPPED_AT_END, 0))
    losses = list(itertools.takewhile(lambda loss: not math.isnan(loss), smoothed[part]))
    rates = list(curve.learning_rates[part])[: len(losses)]
    if len(losses) < 3:
        raise LRSuggestionError(
            "fastai's lr_find keeps fewer than three points of this curve: it ends where the loss exceeds four times "
            "its lowest value, which a negative one does at once; take another rule, or lower lr_max"
        )
    return rates, losses


def valley(curve: LRCurve) -> float:
    """A point half-way down the longest decreasing subsequence, counted back from its end as if that were connected.

    Raises:
        LRSuggestionError: If no three points descend.
    """
    rates, losses = recorded(curve)
    lengths: list[int] = []
    for i, loss in enumerate(losses):
        lengths.append(1 + max((lengths[j] for j in range(i) if losses[j] > loss), default=0))
    length = max(lengths)
    if length < 3:
        raise LRSuggestionError("the loss never falls over three points; raise lr_max, or lower lr_min")
    return rates[lengths.index(length) - length + int(length / 3) + int(length / 6)]


def slide(curve: LRCurve) -> float:
    """The lower end of a window of 15 points, moved down from the highest rate until the slopes at its ends are alike.

    Alike is a difference of 0.005 in the unit of the loss, so that the answer depends on its scale.

    Raises:
        LRSuggestionError: If the curve is shorter than the window.
    """
    rates, losses = recorded(curve)
    if len(losses) <= WINDOW + 1:
        raise LRSuggestionError(f"fastai's slide needs more than {WINDOW + 1} points; raise lr_num_training")
    slopes = [losses[1] - losses[0], *((b - a) / 2 for a, b in zip(losses, losses[2:], strict=False))]
    slopes.append(losses[-1] - losses[-2])
    right = len(losses) - 1
    answer = rates[right - WINDOW]
    while right >= WINDOW and abs(slopes[right] - slopes[right - WINDOW]) > THRESHOLD:
        answer = rates[right - WINDOW]
        right -= 1
    return answer


def minimum(curve: LRCurve) -> float:
    """A tenth of the rate with the lowest loss.

    Raises:
        LRSuggestionError: If that is the first point.
    """
    rates, losses = recorded(curve)
    index = losses.index(min(losses))
    if index == 0:
        raise LRSuggestionError("the loss is lowest at the first rate; lower lr_min")
    return rates[index] / 10


def steep(curve: LRCurve) -> float:
    """The rate from which the loss falls most, over the logarithm of the rate, to the next.

    Raises:
        LRSuggestionError: If it never falls.
    """
    rates, losses = recorded(curve)
    slopes = [
        (losses[i + 1] - losses[i]) / (math.log(rates[i + 1]) - math.log(rates[i])) for i in range(len(losses) - 1)
    ]
    if min(slopes) >= 0:
        raise LRSuggestionError("the loss never falls; raise lr_max, or lower lr_min")
    return rates[slopes.index(min(slopes))]


RULES: dict[str, tuple[Callable[[LRCurve], float], str]] = {
    "fastai-valley": (valley, "fastai's valley: half-way down the longest descent"),
    "fastai-slide": (slide, "fastai's slide: the last descent before the loss climbs"),
    "fastai-minimum": (minimum, "fastai's minimum: a tenth of the rate with the lowest loss"),
    "fastai-steep": (steep, "fastai's steep: where the loss falls fastest"),
}


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    """Offer the four rules."""
    return [LRSuggester(name, suggest, summary) for name, (suggest, summary) in RULES.items()]
