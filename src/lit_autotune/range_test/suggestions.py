"""Asking suggesters for their reading of a curve, and how far it can be trusted."""

import math
import numbers
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from lit_autotune._shared import foreign
from lit_autotune._shared.foreign import call_foreign, named_when_slow
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
        PluginError: If the rule fails.
    """
    registry = Registry.load()
    rule = registry.suggester(suggester or TunerConfig().lr_suggester)
    curve = _curve(lrs, losses)
    (suggestion,) = suggest_all(
        curve, [rule], {}, lambda text: warnings.warn(text, stacklevel=2), registry, chosen=rule.name
    )
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
    registry: Registry | None = None,
    chosen: str = "",
) -> tuple[LRSuggestion, ...]:
    """Every suggester's answer. One that fails is warned about and has none; the others go on.

    Args:
        curve: What they read.
        suggesters: Whom to ask.
        options: The user's tables of options, by name.
        warn: Told of those that failed, or took long.
        registry: Where they come from, to name their plugins.
        chosen: Name of the one that is needed.

    Raises:
        PluginError: If the one that is needed fails.
    """
    registry = registry or Registry()
    return tuple(
        _suggest(curve, suggester, options, warn, registry, suggester.name == chosen) for suggester in suggesters
    )


def _suggest(
    curve: LRCurve,
    suggester: LRSuggester,
    options: dict[str, dict[str, Any]],
    warn: Callable[[str], None],
    registry: Registry,
    is_chosen: bool,
) -> LRSuggestion:
    points = len(curve.finite()[0])
    if points < MIN_POINTS:
        return _no_answer(
            suggester,
            f"only {points} of {len(curve.losses)} steps had a finite loss; lower lr_min, or look for NaN in the data",
        )
    start = time.perf_counter()
    try:
        with named_when_slow(f"still waiting for {registry.title(suggester)}"):
            value = rate_of(call_foreign(suggester.suggest, curve, **bind_options(suggester, options)))
    except LRSuggestionError as error:
        return _no_answer(suggester, first_line(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a suggester is foreign code
        if is_chosen and isinstance(error, ConfigError):  # of the user's options
            raise
        fault = registry.blame(suggester, "failed", error)
        if is_chosen:
            raise fault from error
        warn(str(fault))
        return _no_answer(suggester, f"failed with {type(error).__name__}: {first_line(error)}")
    finally:
        if (seconds := time.perf_counter() - start) > foreign.PATIENCE:
            warn(f"{registry.title(suggester)} took {seconds:.0f} s to read the curve")
    reasons = judge(curve, value)
    return LRSuggestion(
        suggester=suggester.name, value=value, quality="doubtful" if reasons else "good", reasons=reasons
    )


def rate_of(value: object) -> float:
    """What a suggester returned, as a number.

    Raises:
        PluginError: If it is no positive finite number. Those of NumPy are numbers, too.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) < math.inf:
        raise PluginError(f"suggest must return a positive number, not {value!r}")
    return float(value)


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
