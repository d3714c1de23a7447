"""Conformance kit for plugin authors: what lit-autotune relies on, as plain check functions.

All checks at once with :func:`check_lr_suggester`, or one test each::

    @pytest.mark.parametrize("check", LR_SUGGESTER_CHECKS)
    def test_conformance(check):
        check(my_suggester)

A check raises ``AssertionError`` with one line that says what was found. It needs neither torch nor pytest.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from lit_autotune._text import first_line
from lit_autotune.curves import lr_ladder
from lit_autotune.errors import BatchSizeError, ConfigError, LRSuggestionError
from lit_autotune.registry import bind_options
from lit_autotune.search import search_batch_size
from lit_autotune.suggestions import MIN_POINTS
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, LRCurve, LRSuggester, SearchSpace


def valley() -> tuple[list[float], list[float]]:
    """An ordinary range test: a noisy plateau, a fall from 1e-4 to 1e-2, an explosion from 1e-1."""
    rates, noise = lr_ladder(1e-8, 1.0, 100), random.Random(0)
    logs = [math.log10(rate) for rate in rates]
    falls = [2.3 - 2 / (1 + math.exp(-3 * (log + 3))) for log in logs]
    return rates, [fall + math.exp(4 * log + 2) + noise.gauss(0, 0.02) for fall, log in zip(falls, logs, strict=True)]


def suggests_a_reasonable_rate_on_a_valley(suggester: LRSuggester) -> None:
    """On an ordinary curve there is an answer, and it lies where one can train."""
    value = _suggest(suggester, "a valley curve", *valley())
    assert value is not None, f"{suggester.name}: has no answer on a valley curve"
    assert 1e-5 <= value <= 1e-1, f"{suggester.name}: gave {value:g} on a valley curve, not within 1e-5..1e-1"


def is_deterministic(suggester: LRSuggester) -> None:
    """The same curve gives the same answer."""
    first, second = (_suggest(suggester, "a valley curve", *valley()) for _ in range(2))
    assert first == second, f"{suggester.name}: gave {first} and then {second} on the same curve"


def survives_a_flat_curve(suggester: LRSuggester) -> None:
    """A loss that never moves gives a rate or ``LRSuggestionError``."""
    _suggest(suggester, "a flat curve", valley()[0], [1.0] * 100)


def survives_a_rising_curve(suggester: LRSuggester) -> None:
    """A loss that only rises gives a rate or ``LRSuggestionError``."""
    _suggest(suggester, "a rising curve", valley()[0], [float(i) for i in range(100)])


def survives_a_short_curve(suggester: LRSuggester) -> None:
    """The fewest points that a suggester is given, rising or falling, give a rate or ``LRSuggestionError``."""
    for sign in (1.0, -1.0):
        losses = [sign * i for i in range(MIN_POINTS)]
        _suggest(suggester, f"a curve of {MIN_POINTS} points", lr_ladder(1e-4, 1.0, MIN_POINTS), losses)


def survives_missing_losses(suggester: LRSuggester) -> None:
    """Losses that are NaN or infinite, first and last included, give a rate or ``LRSuggestionError``."""
    rates, losses = valley()
    losses = [math.nan if i % 7 == 0 else loss for i, loss in enumerate(losses)]
    _suggest(suggester, "a curve with NaN points", rates, [*losses[:-1], math.inf])


def survives_negative_losses(suggester: LRSuggester) -> None:
    """Losses below zero, such as log-likelihoods, give a rate or ``LRSuggestionError``."""
    rates, losses = valley()
    _suggest(suggester, "a curve of negative losses", rates, [loss - 1000 for loss in losses])


def finds_a_size_that_fits(strategy: BatchSizeStrategy) -> None:
    """The answer fits and was run, nothing outside the space is asked for, and the search ends by itself."""
    for init_val, largest, max_val in ((2, 100, None), (3, 1, 64), (64, 1000, 64), (1, 7, 48), (5, 1000, 37)):
        size = _search(strategy, init_val, largest, max_val)
        assert size is not None, f"{strategy.name}: no answer from init_val {init_val} although {largest} fits"


def goes_down_to_one(strategy: BatchSizeStrategy) -> None:
    """If the first size does not fit, smaller ones are tried, down to 1."""
    for init_val in (2, 7, 256):
        size = _search(strategy, init_val, largest=1)
        assert size == 1, f"{strategy.name}: from init_val {init_val} gave {size} where only 1 fits"


def says_when_nothing_fits(strategy: BatchSizeStrategy) -> None:
    """If not even 1 fits, the search ends without an answer."""
    for init_val in (1, 16):
        _search(strategy, init_val, largest=0)


def keeps_what_it_has_when_trials_run_out(strategy: BatchSizeStrategy) -> None:
    """Ended early by the trial budget, with or without a limit in sight, it has an answer if the first size fits."""
    for largest in (10, 10**12):
        size = _search(strategy, 2, largest, max_trials=4, may_be_cut=True)
        assert size is not None, f"{strategy.name}: has no answer after 4 trials although init_val fits"


LR_SUGGESTER_CHECKS: Sequence[Callable[[LRSuggester], None]] = (
    suggests_a_reasonable_rate_on_a_valley,
    is_deterministic,
    survives_a_flat_curve,
    survives_a_rising_curve,
    survives_a_short_curve,
    survives_missing_losses,
    survives_negative_losses,
)
BATCH_SIZE_STRATEGY_CHECKS: Sequence[Callable[[BatchSizeStrategy], None]] = (
    finds_a_size_that_fits,
    goes_down_to_one,
    says_when_nothing_fits,
    keeps_what_it_has_when_trials_run_out,
)


def check_lr_suggester(suggester: LRSuggester) -> None:
    """Run all of ``LR_SUGGESTER_CHECKS``."""
    for check in LR_SUGGESTER_CHECKS:
        check(suggester)


def check_batch_size_strategy(strategy: BatchSizeStrategy) -> None:
    """Run all of ``BATCH_SIZE_STRATEGY_CHECKS``."""
    for check in BATCH_SIZE_STRATEGY_CHECKS:
        check(strategy)


def _options(record: LRSuggester | BatchSizeStrategy) -> dict[str, Any]:
    try:
        return bind_options(record, {})
    except ConfigError as error:
        raise AssertionError(f"{record.name}: every option needs a default: {first_line(error)}") from error


def _suggest(suggester: LRSuggester, where: str, rates: list[float], losses: list[float]) -> float | None:
    """The suggestion, checked; ``None`` if there is none."""
    options = _options(suggester)
    try:
        value = suggester.suggest(LRCurve(learning_rates=tuple(rates), losses=tuple(losses)), **options)
    except LRSuggestionError:
        return None
    except Exception as error:
        raise AssertionError(f"{suggester.name}: failed on {where}: {type(error).__name__}: {error}") from error
    usable = isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < math.inf
    assert usable, f"{suggester.name}: gave {value!r} on {where}, not a positive number"
    return value


def _search(
    strategy: BatchSizeStrategy,
    init_val: int,
    largest: int,
    max_val: int | None = None,
    max_trials: int = 25,
    may_be_cut: bool = False,
) -> int | None:
    """The answer of a search in which all sizes up to ``largest`` fit, checked; ``None`` if there is none."""
