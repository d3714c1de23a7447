"""Whether a setting decides the learning rates that a training reaches, and what it makes of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lit_autotune.comparison.rate_search import RatePlan
from lit_autotune.copies.attributes import Setting
from lit_autotune.errors import ConfigError

if TYPE_CHECKING:
    from lit_autotune.copies.dry_run import DryRun
    from lit_autotune.tuning.context import TuningContext
    from lit_autotune.tuning.training import TrainedSteps

SHARE = 0.1
"""Doubled, a setting that decides a rate changes it by more than this share. Where a warm-up begins does not."""

HOOKS = ("optimizer_step", "on_before_optimizer_step", "on_train_batch_start", "on_train_batch_end")
"""Hooks in which modules set rates by themselves."""

STEPS = 20
"""Optimizer steps that show what the module's own hooks make of the rate."""

Rates = tuple[float, ...]
"""The highest rate of each parameter group."""


def prove_rate(
    context: "TuningContext",
    plan: RatePlan,
    setting: Setting,
    value: float,
    first: "DryRun",
    base: Mapping[Setting, int],
) -> RatePlan:
    """Prove that a setting decides the highest rate of the training, or find the one that does.

    Args:
        context: What the step works with.
        plan: What is known without a setting.
        setting: Where the rate seems to be kept.
        value: What it is set to.
        first: A dry run with that.
        base: Settings to have besides.

    Raises:
        ConfigError: If it does not, unless the suggestion is only to be reported.
    """
    second = context.look({**base, setting: 2 * value}, with_schedule=True)
    if _follows(first.rates, second.rates):
        return _effective(plan, setting, value, first.rates)
    peak = _peak_plan(context, plan, setting, first.rates, base)
    if peak and context.config.lr_attribute is None:
        return peak
    if not peak and not first.schedulers and (trained := _trained_plan(context, plan, setting, value, base)):
        return trained
    unproven = replace(plan, start={setting: value})
    if not peak and first.schedulers and first.defaults != second.defaults:
        context.console.warn(
            f"{', '.join(first.schedulers)} overrides the optimizer's learning rate, so that changing {setting} will "
            "have no effect on fit; let the scheduler read it, too (OneCycleLR: max_lr)"
        )
        # A peak is no value for the optimizer's own rate.
        return replace(unproven, setting=None if plan.kind == "max_lr" else setting)
    if context.config.update_model_lr:
        raise ConfigError(_no_effect(setting, first.rates, second.rates, peak))
    return unproven


def relative(rates: Sequence[float]) -> Rates:
    """Rates relative to the first that is not zero; 1 for a group without one."""
    reference = next((rate for rate in rates if rate > 0), 1.0)
    return tuple(1.0 if math.isnan(rate) else rate / reference for rate in rates)


def _follows(first: Rates, second: Rates) -> bool:
    """Whether the rate of any parameter group follows a setting: with ``first``, and with ``second`` doubled."""
    return any(abs(two - one) > SHARE * abs(one) for one, two in zip(first, second, strict=True))


def _effective(plan: RatePlan, setting: Setting, value: float, rates: Rates) -> RatePlan:
    """The plan for a setting that decides the highest rates of the schedule."""
    return replace(
        plan,
        setting=setting,
        start={setting: value},
        scales=tuple(1.0 if math.isnan(rate) else rate / value for rate in rates),
        effective=True,
    )


def _peak_plan(
    context: "TuningContext", plan: RatePlan, tried: Setting, rates: Rates, base: Mapping[Setting, int]
) -> RatePlan | None:
    """The plan for a schedule whose highest rate comes from a setting of its own; ``None`` if there is none such."""
    setting = context.find_max_lr()
    if setting is None or setting == tried:
        return None
    value = setting.value or max(rate for rate in rates if not math.isnan(rate))
    first, second = (context.look({**base, setting: value * factor}, with_schedule=True).rates for factor in (1, 2))
    return _effective(plan, setting, value, first) if _follows(first, second) else None


def _trained_plan(
    context: "TuningContext", plan: RatePlan, setting: Setting, value: float, base: Mapping[Setting, int]
) -> RatePlan | None:
    """The plan for a rate that the module's own hooks make, seen in a few real steps; ``None`` if they do not."""
    if context.module.automatic_optimization and not any(map(context.overrides, HOOKS)):
        return None
    first, second = (
        _highest(context.train(STEPS, {**base, setting: value * factor}, schedule_steps=plan.training.steps or STEPS))
        for factor in (1, 2)
    )
    if not _follows(first, second):
        return None
    # The steps may be the beginning of a long warm-up, so that only the ratios are known.
    return replace(plan, setting=setting, start={setting: value}, scales=relative(first), effective=True, by_hand=True)


def _highest(trained: "TrainedSteps") -> Rates:
    return tuple(map(max, zip(*trained.rates, strict=True)))


def _no_effect(setting: Setting, first: Rates, second: Rates, peak: RatePlan | None) -> str:
    """What to say of a setting that does not decide the rate."""
    highest, doubled = (max(rate for rate in rates if not math.isnan(rate)) for rates in (first, second))
    stays = f"it stays {highest:g}" if highest == doubled else f"doubled, it makes {doubled:g} of {highest:g}"
    where = f"{peak.setting} does, so leave lr_attribute out" if peak else "let configure_optimizers read it"
    return (
        f"changing {setting} does not change the optimizer's learning rate, at its highest in the training ({stays}); "
        f"{where}, or name the right place with lr_attribute"
    )


def check_survival(context: "TuningContext", plan: RatePlan, value: float) -> None:
    """Warn if the rate that was just applied does not decide what is trained with, or the training ends too early."""
    if plan.setting is None or not plan.effective or plan.by_hand:
        return
    first, second = (context.look({plan.setting: value * factor}, with_schedule=True) for factor in (1, 2))
    if first.still_rising:
        context.console.warn(
            "the training ends before the warm-up of its learning rate does, and the suggestion is for that; a longer "
            "one would come to higher rates than any that was tried"
        )
    if not _follows(first.rates, second.rates):
        context.console.warn(
            f"{plan.setting} = {value:.2e} gives the optimizer a learning rate of {first.rates[0]:.2e}; "
            "a scheduler or configure_optimizers overrides it"
        )
