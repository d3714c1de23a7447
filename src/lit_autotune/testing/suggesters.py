"""What a suggestion rule must keep to, as checks."""

import contextlib
from collections.abc import Callable, Sequence

from lit_autotune._shared.text import first_line
from lit_autotune.errors import LRSuggestionError, PluginError
from lit_autotune.range_test.suggestions import rate_of
from lit_autotune.registry.options import bind_options
from lit_autotune.testing.curves import CURVES, valley_curve
from lit_autotune.testing.state import changed_state
from lit_autotune.types import LRSuggester

SuggesterCheck = Callable[[LRSuggester], None]


def suggester_checks() -> list[SuggesterCheck]:
    """Checks of an :class:`~lit_autotune.LRSuggester`, with names that say what each one is about."""
    survived = [_survives(name) for name in CURVES if name != "a valley"]
    return [suggests_a_reasonable_rate_on_a_valley, is_deterministic, *survived, suggest_leaves_state_alone]


def suggests_a_reasonable_rate_on_a_valley(suggester: LRSuggester) -> None:
    """On an ordinary curve there is an answer, and it lies where one can train."""
    value = _suggest(suggester, "a valley")
    assert value is not None, f"{suggester.name}: has no answer on a valley"
    assert 1e-5 <= value <= 1e-1, f"{suggester.name}: gave {value:g} on a valley, not within 1e-5..1e-1"


def is_deterministic(suggester: LRSuggester) -> None:
    """The same curve gives the same answer."""
    first, second = (_suggest(suggester, "a valley") for _ in range(2))
    assert first == second, f"{suggester.name}: gave {first} and then {second} on the same curve"


def suggest_leaves_state_alone(suggester: LRSuggester) -> None:
    """It leaves random state, default dtype and gradient mode as they are; use a generator of your own."""

    def ask() -> None:
        with contextlib.suppress(Exception):  # what else may be wrong is for the other checks to say
            suggester.suggest(valley_curve(), **bind_options(suggester, {}))

    changed = changed_state(ask)
    assert not changed, f"{suggester.name}: changes {', '.join(changed)}"


def _survives(name: str) -> SuggesterCheck:
    """A check that this curve gives a rate or ``LRSuggestionError``, and no other exception."""

    def check(suggester: LRSuggester) -> None:
        _suggest(suggester, name)

    check.__name__ = check.__qualname__ = f"survives_{name.replace(' ', '_')}"
    check.__doc__ = f"On {name} it gives a rate, or ``LRSuggestionError``."
    return check


def _suggest(suggester: LRSuggester, where: str) -> float | None:
    """The suggestion, options at their defaults, checked; ``None`` if there is none."""
    try:
        value = suggester.suggest(CURVES[where](), **bind_options(suggester, {}))
    except LRSuggestionError:
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise AssertionError(f"{suggester.name}: {type(error).__name__} on {where}: {first_line(error)}") from error
    try:
        return rate_of(value)
    except (PluginError, OverflowError):
        raise AssertionError(f"{suggester.name}: gave {value!r} on {where}, not a positive number") from None


LR_SUGGESTER_CHECKS: Sequence[SuggesterCheck] = tuple(suggester_checks())
"""What :func:`suggester_checks` gives."""


def check_lr_suggester(suggester: LRSuggester) -> None:
    """Run all of :func:`suggester_checks`."""
    for check in suggester_checks():
        check(suggester)
