"""Asking suggesters for their reading of a curve."""

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

from lit_autotune._text import first_line
from lit_autotune.errors import LRSuggestionError, PluginError
from lit_autotune.registry import bind_options
from lit_autotune.types import LRCurve, LRSuggester, LRSuggestion

MIN_POINTS = 5


def suggest_all(
    curve: LRCurve,
    suggesters: Sequence[LRSuggester],
    options: dict[str, dict[str, Any]],
    warn: Callable[[str], None],
) -> tuple[LRSuggestion, ...]:
    """Every suggester's answer. One that fails is warned about and has none; the others go on."""
    return tuple(_suggest(curve, suggester, options, warn) for suggester in suggesters)


def _suggest(
    curve: LRCurve, suggester: LRSuggester, options: dict[str, dict[str, Any]], warn: Callable[[str], None]
) -> LRSuggestion:
    points = len(curve.finite()[0])
    if points < MIN_POINTS:
        reason = (
            f"only {points} of {len(curve.losses)} steps had a finite loss; lower lr_min, or look for NaN in the data"
        )
        return LRSuggestion(suggester=suggester.name, reason=reason)
    try:
        value = suggester.suggest(curve, **bind_options(suggester, options))
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
            raise PluginError(f"it returned {value!r}, not a positive number")
    except LRSuggestionError as error:
        return LRSuggestion(suggester=suggester.name, reason=first_line(error))
    except (Exception, SystemExit) as error:  # a suggester is foreign code
        reason = f"failed with {type(error).__name__}: {first_line(error)}"
        warn(f"suggester {suggester.name!r} {reason}")
        return LRSuggestion(suggester=suggester.name, reason=reason)
    return LRSuggestion(suggester=suggester.name, value=float(value))


def pick(suggestions: Sequence[LRSuggestion], name: str) -> float:
    """The value of the named suggestion.

    Raises:
        LRSuggestionError: If it has none; says why and what the others say.
    """
    chosen = next(suggestion for suggestion in suggestions if suggestion.suggester == name)
    if chosen.value is not None:
        return chosen.value
    others = ", ".join(f"{other.suggester} {other.value:.2e}" for other in suggestions if other.value is not None)
    raise LRSuggestionError(f"{name} has no suggestion: {chosen.reason}" + (f" (others: {others})" if others else ""))
