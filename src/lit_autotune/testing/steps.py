"""What a tuning step must keep to, as checks."""

from collections.abc import Callable

from lit_autotune.errors import AutotuneError
from lit_autotune.registry.checks import check_record
from lit_autotune.registry.registry import bind_options
from lit_autotune.types import TuningStep

StepCheck = Callable[[TuningStep], None]


def step_checks() -> list[StepCheck]:
    """Checks of a :class:`~lit_autotune.TuningStep`, with names that say what each one is about."""
    return [is_a_valid_record, has_a_summary_of_one_line, options_have_defaults]


def is_a_valid_record(step: TuningStep) -> None:
    """Its name can be written in a configuration, and what is to be called can be called."""
    try:
        check_record(step, TuningStep, "lit_autotune_steps")
    except AutotuneError as error:
        raise AssertionError(f"{getattr(step, 'name', step)}: {error}") from error


def has_a_summary_of_one_line(step: TuningStep) -> None:
    """`autotune plugins` shows it."""
    assert len(step.summary.strip().splitlines()) == 1, f"{step.name}: summary is not one line: {step.summary!r}"


def options_have_defaults(step: TuningStep) -> None:
    """It works without a table of options."""
    try:
        bind_options(step, {})
    except AutotuneError as error:
        raise AssertionError(f"{step.name}: {error}; give each option a default") from error
