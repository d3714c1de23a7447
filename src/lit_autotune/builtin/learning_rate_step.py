"""Tuning step ``learning_rate``: the LR range test (Smith 2015) and the suggesters' reading of it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.copies.attributes import LEARNING_RATE_NAMES, Owners, Setting, find_batch_size, find_setting
from lit_autotune.curves.points import LRSuggestion
from lit_autotune.curves.schedules import convert, wanted_kind
from lit_autotune.errors import ConfigError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import LRCurve, TuningStep

if TYPE_CHECKING:
    from lit_autotune.comparison.rate_search import RatePlan
    from lit_autotune.copies.dry_run import DryRun
    from lit_autotune.planning.plan import TrainingPlan
    from lit_autotune.report.results import LearningRateResult
    from lit_autotune.tuning.context import TuningContext


def prepare(context: "TuningContext") -> "RatePlan":
    """Find the setting and prove that it changes the optimizer's learning rate.

    Raises:
        ConfigError: If there is no such setting or it has no effect, unless the suggestion is only to be reported.
    """
    from lit_autotune.comparison.rate_search import RatePlan
    from lit_autotune.copies.dry_run import dry_run, training_plan

    config, sandbox = context.config, context.sandbox
    setting = find(context)
    value = (setting and setting.value) or math.sqrt(config.lr_min * config.lr_max)
    size = context.plans.get("batch_size")
    # The present batch size may be too large, if it is to be tuned.
    base = {size.setting: size.init_val} if size else {}
    first = dry_run(sandbox, {**base, setting: value} if setting else base)
    if not first.rates:
        raise ConfigError("configure_optimizers returns no optimizer, so there is no learning rate to tune")
    if len(first.defaults) <= (config.lr_optimizer_index or 0):
        raise ConfigError(
            f"there are {len(first.defaults)} optimizers, so there is none to sweep with lr_optimizer_index = "
            f"{config.lr_optimizer_index or 0}; see configure_optimizers"
        )
    kind = wanted_kind(config.lr_schedule, first.schedulers)
    training = (size and size.training) or training_plan(sandbox.trainer, first, _present_size(context))
    if setting is None:
        return RatePlan(None, {}, _relative(first.rates), kind, training)
    context.console.debug(f"learning rate is kept in {setting}")
    second = dry_run(sandbox, {**base, setting: 2 * value})
    if first.rates != second.rates:
        scales = tuple(rate / value for rate in first.rates)
        return RatePlan(setting, {setting: value}, scales, kind, training, effective=True)
    if kind == "max_lr" and config.lr_attribute is None and (plan := _peak_plan(context, first, training, base)):
        return plan
    if first.schedulers and first.defaults != second.defaults:
        context.console.warn(
            f"{', '.join(first.schedulers)} overrides the optimizer's learning rate, so that changing {setting} will "
            "have no effect on fit; let the scheduler read it, too (OneCycleLR: max_lr)"
        )
        # A peak is no value for the optimizer's own rate.
        return RatePlan(None if kind == "max_lr" else setting, {setting: value}, _relative(first.rates), kind, training)
    if config.update_model_lr:
        raise ConfigError(
            f"changing {setting} does not change the optimizer's learning rate (it stays {first.rates[0]:g}); "
            "let configure_optimizers read it, or name the right place with lr_attribute"
        )
    return RatePlan(None, {setting: value}, _relative(first.rates), kind, training)


def begin(context: "TuningContext") -> "RatePlan":
    """Prepare, and make the first steps; raises what :func:`prepare` does, and if there is no loss to read."""
    from lit_autotune.comparison.first_steps import make_first_steps

    return make_first_steps(context, prepare(context))


def _peak_plan(
    context: "TuningContext", first: "DryRun", training: "TrainingPlan", base: Mapping[Setting, int]
) -> "RatePlan | None":
    """The plan for a schedule whose peak comes from a setting of its own; ``None`` if there is none such."""
    from lit_autotune.comparison.rate_search import RatePlan
    from lit_autotune.copies.dry_run import dry_run

    setting = find_peak({"module": context.owners["module"]})
    if setting is None:
        return None
    value = setting.value or first.rates[0]
    rates = [dry_run(context.sandbox, {**base, setting: value * factor}).rates for factor in (1, 2)]
    if rates[0] == rates[1]:
        return None
    scales = tuple(rate / value for rate in rates[0])
    return RatePlan(setting, {setting: value}, scales, "max_lr", training, effective=True)


def _present_size(context: "TuningContext") -> int | None:
    """The present batch size, if it can be found."""
    try:
        size = find_batch_size(context.owners, context.config.batch_size_attribute).value
    except ConfigError:
        return None
    return int(size) if size is not None and size >= 1 else None


def find(context: "TuningContext") -> Setting | None:
    """Where the learning rate is kept; ``None`` if that is unknown and the suggestion is only to be reported.

    Raises:
        ConfigError: If it is unknown, or places disagree, or there is nothing to validate with where that is asked for.
    """
    from lit_autotune.copies.sandbox import overrides
    from lit_autotune.previews.held_out import HELD_OUT

    config = context.config
    if config.lr_monitor == HELD_OUT and not any(overrides(o, "val_dataloader") for o in context.owners.values()):
        raise ConfigError(f"lr_monitor = {HELD_OUT!r}: there is no val_dataloader; add one to the datamodule or module")
    module = {"module": context.owners["module"]}
    try:
        return find_setting(module, LEARNING_RATE_NAMES, config.lr_attribute, "lr_attribute")
    except ConfigError:
        peak = None if config.lr_attribute else find_peak(module)
        if peak is None and (config.update_model_lr or config.lr_attribute):
            raise
        return peak


def find_peak(module: Owners) -> Setting | None:
    """Where the peak of a schedule is kept, if that is a setting of its own."""
    try:
        return find_setting(module, ("max_lr",), None, "lr_attribute")
    except ConfigError:
        return None


def _relative(rates: tuple[float, ...]) -> tuple[float, ...]:
    """Rates relative to the first that is not zero."""
    reference = next((rate for rate in rates if rate), 1.0)
    return tuple(rate / reference for rate in rates)


def run(context: "TuningContext", plan: "RatePlan") -> "LearningRateResult":
    """Sweep, ask all suggesters, verify the chosen suggestion if need be, have it applied, and save the plot.

    Raises:
        LRSuggestionError: If the chosen suggester has no answer.
    """
    from lit_autotune.comparison.first_steps import announce
    from lit_autotune.comparison.rate_search import find_rate
    from lit_autotune.report.results import LearningRateResult

    config, console = context.config, context.console
    training = _training(context, plan)
    announce(context, training)
    found = find_rate(context, plan, {}, training)
    raced = convert(found.rate, plan.kind, "constant") if found.races and found.rate is not None else None
    plot_path = _save_plot(context, found.curve, found.suggestions, raced)
    name = "max_lr" if plan.kind == "max_lr" else "learning rate"
    if found.rate is None:
        console.warn(f"all races diverged; {_instead(plan)}; lower lr_min and lr_max")
    suggested = found.rate or min(heat.learning_rate for heat in found.races)
    console.line(f"✓ Suggested {name}: {suggested:.2e}", "bold green")
    is_better_than_nothing = found.rate is not None or plan.old is None
    applied = is_better_than_nothing and config.update_model_lr and _apply(context, plan, suggested)
    if plot_path:
        console.line(f"  LR finder plot saved to: {plot_path}")
    return LearningRateResult(
        suggester=config.lr_suggester,
        old=None if plan.setting is None else plan.setting.value,
        chosen=plan.old if found.rate is None and plan.old is not None else suggested,
        suggested=suggested,
        kind=plan.kind,
        applied=applied,
        places=tuple(str(place) for place in plan.setting.places) if plan.setting else (),
        curve=found.curve,
        suggestions=found.suggestions,
        doubtful=bool(found.doubts),
        races=found.races,
        extra_steps=found.steps - len(found.curve.losses),
        step_seconds=found.step_seconds,
        plot_path=plot_path,
    )


def _apply(context: "TuningContext", plan: "RatePlan", value: float) -> bool:
    """Have the rate applied, if there is a place for it."""
    if plan.setting is None:
        return False
    before = "none" if plan.setting.value is None else f"{plan.setting.value:.2e}"
    context.apply(plan.setting, value)
    if plan.effective:
        _check_survival(context, plan, value)
    context.console.line(f"  Updated optimizer LR: {before} → {value:.2e}")
    return True


def _training(context: "TuningContext", plan: "RatePlan") -> "TrainingPlan":
    """The training to come, with the batch size found if there is one."""
    size = context.results.get("batch_size")
    return plan.training if size is None else plan.training.resized(size.chosen)


def _instead(plan: "RatePlan") -> str:
    return "the lowest of their rates is taken" if plan.old is None else f"{plan.old:.2e} stays"


def _save_plot(
    context: "TuningContext", curve: LRCurve, suggestions: tuple[LRSuggestion, ...], raced: float | None = None
) -> Path | None:
    from lit_autotune.curves.plot import DEFAULT_PATH, plot_lr_curve

    chosen = context.config.lr_suggester
    return context.save_figure(lambda: plot_lr_curve(curve, suggestions, chosen, raced), "lr_plot_path", DEFAULT_PATH)


def _check_survival(context: "TuningContext", plan: "RatePlan", value: float) -> None:
    """Warn if ``configure_optimizers`` does not yield the rate that was just applied."""
    from lit_autotune.copies.dry_run import dry_run

    rates = dry_run(context.sandbox, {}).rates
    expected = (scale * value for scale in plan.scales)
    if not any(want and math.isclose(rate, want, rel_tol=1e-6) for rate, want in zip(rates, expected, strict=False)):
        context.console.warn(
            f"{plan.setting} = {value:.2e} gives the optimizer a learning rate of {rates[0]:.2e}; "
            "a scheduler or configure_optimizers overrides it"
        )


@hookimpl
def lit_autotune_steps() -> list[TuningStep]:
    return [
        TuningStep(
            name="learning_rate",
            order=200,
            is_enabled=lambda config: config.use_learning_rate_tuning,
            check=find,
            prepare=begin,
            run=run,
            summary="suggest a learning rate from an LR range test",
        )
    ]
