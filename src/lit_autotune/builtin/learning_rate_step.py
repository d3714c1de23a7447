"""Tuning step ``learning_rate``: the LR range test (Smith 2015) and the suggesters' reading of it."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.config import HELD_OUT
from lit_autotune.curves.schedules import wanted_kind
from lit_autotune.errors import ConfigError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import TuningStep

if TYPE_CHECKING:
    from lit_autotune.comparison.rate_search import RatePlan
    from lit_autotune.copies.attributes import Setting
    from lit_autotune.copies.dry_run import DryRun
    from lit_autotune.report.results import LearningRateResult
    from lit_autotune.tuning.context import TuningContext


def prepare(context: "TuningContext") -> "RatePlan":
    """Find the setting and prove that it changes the optimizer's learning rate.

    Raises:
        ConfigError: If there is no such setting or it has no effect, unless the suggestion is only to be reported.
    """
    from lit_autotune.comparison.rate_effect import prove_rate, relative
    from lit_autotune.comparison.rate_search import RatePlan

    config, setting = context.config, find(context)
    value = (setting and setting.value) or math.sqrt(config.lr_min * config.lr_max)
    size = context.plans.get("batch_size")
    # The present batch size may be too large, if it is to be tuned.
    base = {size.setting: size.init_val} if size else {}
    first = context.look({**base, setting: value} if setting else base, with_schedule=True)
    first.check_batches()
    _check_optimizers(first, config.lr_optimizer_index or 0)
    kind = wanted_kind(config.lr_schedule, first.schedulers)
    training = (size and size.training) or context.plan_training(first, _present_size(context))
    plan = RatePlan(None, {}, relative(first.rates), kind, training)
    if setting is None:
        return plan
    context.console.debug(f"learning rate is kept in {setting}")
    return prove_rate(context, plan, setting, value, first, base)


def _check_optimizers(seen: "DryRun", index: int) -> None:
    if not seen.rates:
        raise ConfigError("configure_optimizers returns no optimizer, so there is no learning rate to tune")
    if len(seen.defaults) <= index:
        raise ConfigError(
            f"there are {len(seen.defaults)} optimizers, so there is none to sweep with lr_optimizer_index = "
            f"{index}; see configure_optimizers"
        )
    if all(map(math.isnan, seen.rates)):
        raise ConfigError(
            "the optimizer's parameter groups have no lr, so that there is no learning rate to tune; give the "
            "optimizer one, or set use_learning_rate_tuning = false"
        )


def begin(context: "TuningContext") -> "RatePlan":
    """Prepare, and make the first steps; raises what :func:`prepare` does, and if there is no loss to read."""
    from lit_autotune.comparison.first_steps import make_first_steps

    return make_first_steps(context, prepare(context))


def _present_size(context: "TuningContext") -> int | None:
    """The present batch size, if it can be found."""
    try:
        return context.find_batch_size().size
    except ConfigError:
        return None


def find(context: "TuningContext") -> "Setting | None":
    """Where the learning rate is kept; ``None`` if that is unknown and the suggestion is only to be reported.

    Raises:
        ConfigError: If it is unknown, or places disagree, or there is nothing to validate with where that is asked for.
    """
    config = context.config
    if config.lr_monitor == HELD_OUT and not context.overrides("val_dataloader"):
        raise ConfigError(f"lr_monitor = {HELD_OUT!r}: there is no val_dataloader; add one to the datamodule or module")
    try:
        return context.find_learning_rate()
    except ConfigError:
        peak = None if config.lr_attribute else context.find_max_lr()
        if peak is None and (config.update_model_lr or config.lr_attribute):
            raise
        return peak


def run(context: "TuningContext", plan: "RatePlan") -> "LearningRateResult":
    """Sweep, ask all suggesters, verify the chosen suggestion if need be, have it applied, and save the plot.

    Raises:
        LRSuggestionError: If the chosen suggester has no answer.
    """
    from lit_autotune.comparison.first_steps import announce
    from lit_autotune.comparison.rate_search import find_rate
    from lit_autotune.report.results import LearningRateResult

    config, console = context.config, context.console
    training = context.as_applied(plan.training)
    announce(context, training)
    found = find_rate(context, plan, {}, training)
    name = "max_lr" if plan.kind == "max_lr" else "learning rate"
    if found.rate is None:
        console.warn(f"all races diverged; {_instead(plan)}; lower lr_min and lr_max")
    suggested = found.rate or min(heat.learning_rate for heat in found.races)
    console.line(f"✓ Suggested {name}: {suggested:.2e}", "bold green")
    is_better_than_nothing = found.rate is not None or plan.old is None
    applied = is_better_than_nothing and config.update_model_lr and _apply(context, plan, suggested)
    result = LearningRateResult(
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
    )
    plot_path = save_plot(context, result)
    if plot_path:
        console.line(f"  LR finder plot saved to: {plot_path}")
    return result.model_copy(update={"plot_path": plot_path})


def _apply(context: "TuningContext", plan: "RatePlan", value: float) -> bool:
    """Have the rate applied, if there is a place for it."""
    from lit_autotune.comparison.rate_effect import check_survival

    if plan.setting is None:
        return False
    before = "none" if plan.setting.value is None else f"{plan.setting.value:.2e}"
    context.apply(plan.setting, value)
    check_survival(context, plan, value)
    context.console.line(f"  Updated optimizer LR: {before} → {value:.2e}")
    return True


def _instead(plan: "RatePlan") -> str:
    return "the lowest of their rates is taken" if plan.old is None else f"{plan.old:.2e} stays"


def save_plot(context: "TuningContext", result: "LearningRateResult") -> Path | None:
    """Save the plot of a result."""
    from lit_autotune.curves.plot import DEFAULT_PATH

    config = context.config
    return context.save_figure(
        lambda: result.plot(config.plot_style, config.lr_plot_rules), "lr_plot_path", DEFAULT_PATH
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
