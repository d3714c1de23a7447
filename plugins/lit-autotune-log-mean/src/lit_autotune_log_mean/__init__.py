"""Suggester ``log_mean``: half-way, on a log scale, between the steepest fall and a tenth of the minimum."""

import math

from lit_autotune import LRCurve, LRSuggester, hookimpl
from lit_autotune.builtin import minimum, steepest


def suggest(curve: LRCurve) -> float:
    """``sqrt(steepest * minimum)``: each rule errs in its own way, their geometric mean less (after NeuralProphet).

    Raises:
        LRSuggestionError: If one of the two has no answer.
    """
    return math.sqrt(steepest.suggest(curve) * minimum.suggest(curve))


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    """Offer the suggester."""
    return [LRSuggester("log_mean", suggest, "geometric mean of steepest and minimum")]
