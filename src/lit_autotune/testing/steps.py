"""What a tuning step must keep to, as checks."""

from collections.abc import Callable

from lit_autotune.config import TunerConfig
from lit_autotune.errors import AutotuneError, PluginError
from lit_autotune.registry.checks import check_record
from lit_autotune.registry.options import bind_options
from lit_autotune.types import TuningStep

StepCheck = Callable[[TuningStep], None]


def step_checks() -> list[StepCheck]:
    """Checks of a :class:`~lit_autotune.TuningStep`, with names that say what each one is about."""
    return [is_a_valid_record, has_a_summary_of_one_line, options_have_defaults, does_no_harm_to_a_tiny_training]


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


def does_no_harm_to_a_tiny_training(step: TuningStep) -> None:
    """It runs on a tiny module, or refuses that in one line; module, data and process are as before.

    What it may change is what it hands to ``context.apply``, and is written at the end.
    """
    import types

    from lit_autotune.hookspecs import hookimpl
    from lit_autotune.registry.registry import Registry
    from lit_autotune.testing.tiny import TinyData, TinyModule, tiny_trainer
    from lit_autotune.tuning.orchestrator import tune

    if any(known.name == step.name for known in Registry.load().steps):
        registry = Registry.load()
    else:
        plugin = types.ModuleType("checked_step")
        vars(plugin)["lit_autotune_steps"] = hookimpl(lambda: [step], specname="lit_autotune_steps")
        registry = Registry.load()
        registry.register(plugin, step.name)
    config = TunerConfig(steps=[step.name], verbose=False)
    try:
        tune(tiny_trainer(), TinyModule(), TinyData(), config, registry=registry, save_plot=False)
    except PluginError as error:
        raise AssertionError(f"{step.name}: {error}") from error
    except AutotuneError as error:
        if "\n" in str(error):
            raise AssertionError(f"{step.name}: refuses in more than one line: {error}") from error
