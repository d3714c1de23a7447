"""Tuning step ``learning_rate``: the LR range test (Smith 2015) and the suggesters' reading of it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.attributes import LEARNING_RATE_NAMES, Setting, find_setting
from lit_autotune.errors import ConfigError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.schedules import convert, wanted_kind
from lit_autotune.types import LRCurve, LRSuggestion, RateKind, TuningStep

if TYPE_CHECKING:
    from lit_autotune.looks import Look
    from lit_autotune.orchestrator import TuningContext
    from lit_autotune.report import LearningRateResult


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known before the sweep.

    Attributes:
        setting: Where to write the suggestion; ``None`` if it is only to be reported.
        start: What to set it to before the sweep takes over.
        scales: For each parameter group its rate per unit of the setting.
        kind: What kind of rate is wanted there.
        effective: Whether the setting decides what the optimizer trains with.
    """

    setting: Setting | None
    start: dict[Setting, float]
    scales: tuple[float, ...]
    kind: RateKind
    effective: bool = False


def prepare(context: "TuningContext") -> Plan:
    """Find the setting and prove that it changes the optimizer's learning rate.

    Raises:
        ConfigError: If there is no such setting or it has no effect, unless the suggestion is only to be reported.
    """
    from lit_autotune.looks import look

    config, sandbox = context.config, context.sandbox
    setting = find(context)
    value = (setting and setting.value) or math.sqrt(config.lr_min * config.lr_max)
    first = look(sandbox, {setting: value} if setting else {})
    if not first.rates:
        raise ConfigError("configure_optimizers returns no optimizer, so there is no learning rate to tune")
    if len(first.defaults) <= (config.lr_optimizer_index or 0):
        raise ConfigError(
            f"there are {len(first.defaults)} optimizers, so there is none to sweep with lr_optimizer_index = "
            f"{config.lr_optimizer_index or 0}; see configure_optimizers"
        )
    kind = wanted_kind(config.lr_schedule, first.schedulers)
    if setting is None:
        return Plan(None, {}, _relative(first.rates), kind)
    context.console.debug(f"learning rate is kept in {setting}")
    second = look(sandbox, {setting: 2 * value})
    if first.rates != second.rates:
        return Plan(setting, {setting: value}, tuple(rate / value for rate in first.rates), kind, effective=True)
    if kind == "max_lr" and config.lr_attribute is None and (plan := _peak_plan(context, first)):
        return plan
    if first.schedulers and first.defaults != second.defaults:
        context.console.warn(
            f"{', '.join(first.schedulers)} overrides the optimizer's learning rate, so that changing {setting} will "
            "have no effect on fit; let the scheduler read it, too (OneCycleLR: max_lr)"
        )
        # A peak is no value for the optimizer's own rate.
        return Plan(None if kind == "max_lr" else setting, {setting: value}, _relative(first.rates), kind)
    if config.update_model_lr:
        raise ConfigError(
            f"changing {setting} does not change the optimizer's learning rate (it stays {first.rates[0]:g}); "
            "let configure_optimizers read it, or name the right place with lr_attribute"
        )
    return Plan(None, {setting: value}, _relative(first.rates), kind)


def _peak_plan(context: "TuningContext", first: "Look") -> Plan | None:
    """The plan for a schedule whose peak comes from a setting of its own; ``None`` if there is none such."""
    from lit_autotune.looks import look

    try:
        setting = find_setting({"module": context.owners["module"]}, ("max_lr",), None, "lr_attribute")
    except ConfigError:
        return None
    value = setting.value or first.rates[0]
    rates = [look(context.sandbox, {setting: value * factor}).rates for factor in (1, 2)]
    if rates[0] == rates[1]:
        return None
    return Plan(setting, {setting: value}, tuple(rate / value for rate in rates[0]), "max_lr", effective=True)


def find(context: "TuningContext") -> Setting | None:
    """Where the learning rate is kept; ``None`` if that is unknown and the suggestion is only to be reported.

    Raises:
        ConfigError: If it is unknown, or places disagree, or there is nothing to validate with where that is asked for.
    """
    from lit_autotune.held_out import HELD_OUT
    from lit_autotune.sandbox import overrides

    config = context.config
    if config.lr_monitor == HELD_OUT and not any(overrides(o, "val_dataloader") for o in context.owners.values()):
        raise ConfigError(f"lr_monitor = {HELD_OUT!r}: there is no val_dataloader; add one to the datamodule or module")
    try:
        return find_setting(
            {"module": context.owners["module"]}, LEARNING_RATE_NAMES, config.lr_attribute, "lr_attribute"
        )
    except ConfigError:
        if config.update_model_lr or config.lr_attribute:
            raise
        return None


def _relative(rates: tuple[float, ...]) -> tuple[float, ...]:
    """Rates relative to the first that is not zero."""
    reference = next((rate for rate in rates if rate), 1.0)
    return tuple(rate / reference for rate in rates)


def run(context: "TuningContext", plan: Plan) -> "LearningRateResult":
    """Sweep, ask all suggesters, verify the chosen suggestion if need be, have it applied, and save the plot.

    Raises:
        LRSuggestionError: If the chosen suggester has no answer.
    """
    from lit_autotune.races import verdict
    from lit_autotune.range_test import run_range_test, verify
    from lit_autotune.report import LearningRateResult
    from lit_autotune.suggestions import pick, suggest_all
    from lit_autotune.sweep import Training

    config, console = context.config, context.console
    suggester = context.registry.suggester(config.lr_suggester)
    console.banner("LEARNING RATE FINDER (LR Range Test)")
    console.line(f"LR range: [{config.lr_min:.2e}, {config.lr_max:.2e}]")
    console.line(f"Training iterations: {config.lr_num_training}")
    console.line("Training while exponentially increasing LR...")
    training = Training(context.sandbox, plan.start, plan.scales, config.lr_optimizer_index, config.lr_monitor)
    curve = run_range_test(training, config, console)
    suggestions = suggest_all(curve, context.registry.suggesters, config.options, console.warn)
    plot_path = _save_plot(context, curve, suggestions)
    constant = convert(pick(suggestions, suggester.name), suggester.kind, "constant")
    reasons = next(answer.reasons for answer in suggestions if answer.suggester == suggester.name)
    for reason in reasons:
        console.warn(f"the suggestion is doubtful: {reason}")
    races = verify(training, constant, console) if config.lr_verify is True or (reasons and config.lr_verify) else ()
    if races:
        constant = verdict(races)
        plot_path = _save_plot(context, curve, suggestions, constant)
    chosen = convert(constant, "constant", plan.kind)
    console.line(f"✓ Suggested {'max_lr' if plan.kind == 'max_lr' else 'learning rate'}: {chosen:.2e}", "bold green")
    applied = config.update_model_lr and plan.setting is not None
    old = None if plan.setting is None else plan.setting.value
    if plan.setting is not None and applied:
        context.apply(plan.setting, chosen)
        if plan.effective:
            _check_survival(context, plan, chosen)
        before = "none" if old is None else f"{old:.2e}"
        console.line(f"  Updated optimizer LR: {before} → {chosen:.2e}")
    if plot_path:
        console.line(f"  LR finder plot saved to: {plot_path}")
    return LearningRateResult(
        suggester=config.lr_suggester,
        old=old,
        chosen=chosen,
        kind=plan.kind,
        applied=applied,
        places=tuple(str(place) for place in plan.setting.places) if plan.setting else (),
        curve=curve,
        suggestions=suggestions,
        races=races,
        extra_steps=training.steps - len(curve.losses),
        plot_path=plot_path,
    )


def _save_plot(
    context: "TuningContext", curve: LRCurve, suggestions: tuple[LRSuggestion, ...], raced: float | None = None
) -> Path | None:
    from lit_autotune.plotting import DEFAULT_PATH, plot_lr_curve

    chosen = context.config.lr_suggester
    return context.save_figure(lambda: plot_lr_curve(curve, suggestions, chosen, raced), "lr_plot_path", DEFAULT_PATH)


def _check_survival(context: "TuningContext", plan: Plan, value: float) -> None:
    """Warn if ``configure_optimizers`` does not yield the rate that was just applied."""
    from lit_autotune.looks import look

    rates = look(context.sandbox, {}).rates
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
            prepare=prepare,
            run=run,
            summary="suggest a learning rate from an LR range test",
        )
    ]
