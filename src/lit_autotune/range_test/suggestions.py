"""Asking suggesters for their reading of a curve, and how far it can be trusted."""

import math
import numbers
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from lit_autotune._shared.problems import first_problem
from lit_autotune._shared.text import first_line
from lit_autotune.config import TunerConfig
from lit_autotune.curves.points import LRSuggestion
from lit_autotune.curves.quality import judge
from lit_autotune.errors import ConfigError, LRSuggestionError, PluginError
from lit_autotune.registry.options import bind_options
from lit_autotune.registry.registry import Registry
from lit_autotune.types import LRCurve, LRSuggester

MIN_POINTS = 5


def suggest_lr(lrs: Iterable[float], losses: Iterable[float], suggester: str | None = None) -> LRSuggestion:
    """Read a learning rate off the curve of an LR range test, wherever it was measured.

    It is the very reading that the range test of :func:`lit_autotune.tune` applies.

    Args:
        lrs: The rate of each step, strictly increasing. Lists, arrays and tensors of one dimension will do.
        losses: The raw training loss of each step, not smoothed. NaN and infinity are missing points.
        suggester: Name of the rule; by default that of ``TunerConfig.lr_suggester``.

    Returns:
        The suggestion. Its ``value`` is ``None`` if the rule has no answer; ``reasons`` say why.

    Raises:
        ConfigError: If the numbers are no curve.
        UnknownNameError: If no loaded plugin provides the rule.
    """
    rule = Registry.load().suggester(suggester or TunerConfig().lr_suggester)
    curve = _curve(lrs, losses)
    (suggestion,) = suggest_all(curve, [rule], {}, lambda text: warnings.warn(text, stacklevel=2))
    return suggestion


def _curve(lrs: Iterable[float], losses: Iterable[float]) -> LRCurve:
    try:
        return LRCurve(learning_rates=tuple(map(float, lrs)), losses=tuple(map(float, losses)))
    except ValidationError as error:
        raise ConfigError(f"suggest_lr: {first_problem(error).message}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"suggest_lr: {first_line(error)}; give two sequences of numbers") from error


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
        return _no_answer(
            suggester,
            f"only {points} of {len(curve.losses)} steps had a finite loss; lower lr_min, or look for NaN in the data",
        )
    try:
        value = suggester.suggest(curve, **bind_options(suggester, options))
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
            raise PluginError(f"it returned {value!r}, not a positive number")
    except LRSuggestionError as error:
        return _no_answer(suggester, first_line(error))
    except (Exception, SystemExit) as error:  # a suggester is foreign code
        reason = f"failed with {type(error).__name__}: {first_line(error)}"
        warn(f"suggester {suggester.name!r} {reason}")
        return _no_answer(suggester, reason)
    value = float(value)
    reasons = judge(curve, value)
    return LRSuggestion(
        suggester=suggester.name, value=value, quality="doubtful" if reasons else "good", reasons=reasons
    )


def _no_answer(suggester: LRSuggester, reason: str) -> LRSuggestion:
    return LRSuggestion(suggester=suggester.name, quality="doubtful", reasons=(reason,))


def pick(suggestions: Sequence[LRSuggestion], name: str) -> float:
    """The value of the named suggestion.

    Raises:
        LRSuggestionError: If it has none; says why and what the others say.
    """
    chosen = next(suggestion for suggestion in suggestions if suggestion.suggester == name)
    if chosen.value is not None:
        return chosen.value
    why = "; ".join(chosen.reasons)
    others = ", ".join(f"{other.suggester} {other.value:.2e}" for other in suggestions if other.value is not None)
    raise LRSuggestionError(f"{name} has no suggestion: {why}" + (f" (others: {others})" if others else ""))
