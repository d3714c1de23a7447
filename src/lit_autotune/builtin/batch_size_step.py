"""Tuning step ``batch_size``: the largest batch size that fits in memory, and which one to train with."""

from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import BatchSizeTrial, TuningStep

if TYPE_CHECKING:
    from lit_autotune.report.results import BatchSizeResult
    from lit_autotune.trials.search_plan import SearchPlan
    from lit_autotune.tuning.context import TuningContext


def prepare(context: "TuningContext") -> "SearchPlan":
    """Find the setting and prove that it changes the batches that arrive.

    Raises:
        ConfigError: If there is no such setting, or it has no effect.
    """
    setting = context.find_batch_size()
    context.console.debug(f"batch size is kept in {setting}")
    plan = context.plan_search(setting)
    if plan.refused:
        context.console.warn(f"{plan.refused}; the search begins with {plan.init_val}")
    return plan


def run(context: "TuningContext", plan: "SearchPlan") -> "BatchSizeResult":
    """Search, and have the size found applied.

    Raises:
        BatchSizeError: If no size fits.
    """
    from lit_autotune.report.results import BatchSizeResult
    from lit_autotune.search.choice import Thrift, for_target, what_limits
    from lit_autotune.search.throughput import fastest

    config, console = context.config, context.console
    console.banner("BATCH SIZE TUNING")
    console.line(f"Mode: {config.batch_size_mode}")
    console.line(f"Initial value: {plan.init_val}")
    console.line(f"Max trials: {config.batch_size_max_trials}")
    budget = context.memory_budget()
    console.line(f"Memory budget: {budget or 'unknown, sizes are tried until one fails'}")
    is_auto = config.batch_size_target == "auto"
    thrift = Thrift(plan.training, plan.setting.value) if is_auto and plan.training else None
    strategy = for_target(context.strategy, config.batch_size_target, thrift, plan.setting.size)
    largest, trials = context.search(plan, budget, strategy, lambda trial: _tell(context, trial))
    if unusable := [trial for trial in trials if trial.outcome == "cannot_be_used"]:
        sizes = ", ".join(str(trial.batch_size) for trial in unusable)
        console.warn(f"batch sizes that cannot be used, your own code fails with them: {sizes} ({unusable[0].message})")
    chosen, reason = _choose(context, plan, largest, trials)
    limit = what_limits(trials, config.batch_size_max_trials, plan.max_val, plan.data_hold, thrift)
    console.line(f"  Largest that fits: {largest}, limited by: {limit}")
    quickest = fastest(trial for trial in trials if trial.batch_size <= largest)
    _advise(context, plan, chosen, quickest)
    context.apply(plan.setting, chosen)
    result = BatchSizeResult(
        strategy=config.batch_size_mode,
        old=plan.setting.value,
        chosen=chosen,
        reason=reason,
        largest=largest,
        fastest=quickest,
        limit=limit,
        budget=str(budget) if budget else None,
        budget_bytes=budget.usable if budget else None,
        places=tuple(str(place) for place in plan.setting.places),
        trials=tuple(trials),
    )
    plot_path = save_plot(context, result)
    if plot_path:
        console.line(f"  Memory plot saved to: {plot_path}")
    return result.model_copy(update={"plot_path": plot_path})


def _tell(context: "TuningContext", trial: BatchSizeTrial) -> None:
    """Say how a trial ended."""
    console = context.console
    sign, outcome = ("✓", "fits") if trial.fits else ("✗", trial.outcome.replace("_", " "))
    console.line(f"  {sign} batch size {trial.batch_size}: {outcome} ({trial.seconds:.2f} s)")
    if trial.outcome == "cannot_be_used":
        console.line(f"    {trial.message}")
    elif trial.message:
        console.debug(f"    {trial.message}")


def _choose(
    context: "TuningContext", plan: "SearchPlan", largest: int, trials: list[BatchSizeTrial]
) -> tuple[int, str]:
    """Which of the sizes that fit to train with, and why."""
    from lit_autotune.comparison.preview_budget import can_be_proven
    from lit_autotune.search.choice import Choice, choose

    old, training = plan.setting.value, plan.training
    choice = choose(context.config.batch_size_target, trials, largest, training, old)
    if training and not can_be_proven(context, training, old, choice.batch_size, trials):
        choice = Choice(int(old), f"the present one; no time to compare it with {choice.batch_size}")
    context.console.line(f"✓ Optimal batch size found: {choice.among(largest)}", "bold green")
    return choice.batch_size, choice.reason


def _advise(context: "TuningContext", plan: "SearchPlan", chosen: int, quickest: int | None) -> None:
    """What else there is to say of a choice: a smaller size as fast, or few steps."""
    from lit_autotune.search.choice import few_steps

    if quickest and quickest < chosen:
        context.console.line(f"  Within 5 % of the best throughput already: {quickest} (batch_size_target = 'fastest')")
    few = few_steps(plan.training.resized(chosen)) if plan.training and chosen != plan.setting.value else ""
    if few and context.config.batch_size_target != "auto":
        context.console.warn(f"batch size {chosen} leaves {few}; batch_size_target = 'auto' would leave more")


def save_plot(context: "TuningContext", result: "BatchSizeResult") -> Path | None:
    """Save the plot of a result, if there is anything to see."""
    from lit_autotune.report.batch_size_plot import DEFAULT_PATH

    if all(trial.peak_bytes is None and trial.samples_per_second is None for trial in result.trials):
        return None
    return context.save_figure(lambda: result.plot(context.config.plot_style), "batch_size_plot_path", DEFAULT_PATH)


@hookimpl
def lit_autotune_steps() -> list[TuningStep]:
    return [
        TuningStep(
            name="batch_size",
            order=100,
            is_enabled=lambda config: config.use_batch_size_tuning,
            check=lambda context: context.find_batch_size(),
            prepare=prepare,
            run=run,
            summary="find the largest batch size that fits in memory",
        )
    ]
