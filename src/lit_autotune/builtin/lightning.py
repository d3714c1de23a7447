"""Suggester ``lightning``: what Lightning's own ``Tuner.lr_find`` makes of the same losses, to compare with."""

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise

from lit_autotune.errors import LRSuggestionError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, LRSuggester

BETA = 0.98
STOP = 4.0
SKIP_BEGIN, SKIP_END = 10, 1


def suggest(curve: LRCurve) -> float:
    """The rate with the most negative slope ``d loss / d rate`` of the curve that Lightning 2.6 records.

    That curve is an exponential moving average of the losses, ended where it lies above four times its lowest value
    so far, without its first ten points and its last one. Its bias correction is off by one step, so that it begins
    at half the loss; and its slope is per plain rate, which makes noise at the lowest rates count most. Not to be
    applied: it is here because a report with the number people know is easier to trust.

    Raises:
        LRSuggestionError: If fewer than two points are left, where Lightning answers ``None``.
    """
    losses = _recorded(curve.losses)
    pairs = list(zip(curve.learning_rates, losses, strict=False))[SKIP_BEGIN:-SKIP_END]
    pairs = [(rate, loss) for rate, loss in pairs if math.isfinite(loss)]
    if len(pairs) < 2:
        raise LRSuggestionError(f"Lightning needs {SKIP_BEGIN + SKIP_END + 2} points; raise lr_num_training")
    # Lightning computes in 32 bits, whose rounding decides where rates lie close together.
    slopes = _slopes(array("f", (rate for rate, _ in pairs)), array("f", (loss for _, loss in pairs)))
    return pairs[slopes.index(min(slopes))][0]


def _recorded(losses: Sequence[float]) -> list[float]:
    """The smoothed losses up to where Lightning stops. A loss that is not finite spoils all after it."""
    recorded: list[float] = []
    mean = best = 0.0
    for step, loss in enumerate(losses, 1):
        mean = BETA * mean + (1 - BETA) * loss
        smoothed = mean / (1 - BETA ** (step + 1))
        recorded.append(smoothed)
        if step > 1 and smoothed > STOP * best:
            break
        if step == 1 or smoothed < best:
            best = smoothed
    return recorded


def _slopes(rates: Sequence[float], losses: Sequence[float]) -> list[float]:
    """Second-order differences for uneven distances, one-sided at the ends: ``torch.gradient``."""
    steps = [high - low for low, high in pairwise(rates)]
    chords = [(high - low) / step for low, high, step in zip(losses, losses[1:], steps, strict=False)]
    inner = [
        (after * chords[i] + before * chords[i + 1]) / (before + after)
        for i, (before, after) in enumerate(pairwise(steps))
    ]
    return [chords[0], *inner, chords[-1]]


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    return [LRSuggester("lightning", suggest, "what Lightning's own tuner suggests; to compare, not to apply")]
