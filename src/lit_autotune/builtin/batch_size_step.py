"""Tuning step ``batch_size``: the largest batch size that fits in memory, and which one to train with."""

from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.copies.attributes import Setting, find_batch_size
from lit_autotune.hookspecs import hookimpl
from lit_autotune.registry.options import bind_options
from lit_autotune.types import BatchSizeTrial, Measurement, TuningStep

if TYPE_CHECKING:
    from lit_autotune.memory.budget import Budget
    from lit_autotune.report.results import BatchSizeResult
    from lit_autotune.search.choice import Thrift
    from lit_autotune.trials.search_plan import SearchPlan
    from lit_autotune.tuning.context import TuningContext


def find(context: "TuningContext") -> Setting:
    """Where the batch size is kept.

    Raises:
        ConfigError: If that is unknown, or places disagree, or the batches to run on cannot be made.
    """
    from lit_autotune.trials.batches import check_batches

    check_batches(context.config.batch_size_probe)
    return find_batch_size(context.owners, context.config.batch_size_attribute)


def prepare(context: "TuningContext") -> "SearchPlan":
    """Find the setting and prove that it changes the batches that arrive.

    Raises:
        ConfigError: If there is no such setting, or it has no effect.
    """
    from lit_autotune.trials.search_plan import plan_search

    setting = find(context)
    context.console.debug(f"batch size is kept in {setting}")
    plan = plan_search(context.sandbox, setting, context.config)
    if plan.refused:
        context.console.warn(f"{plan.refused}; the search begins with {plan.init_val}")
    return plan


def run(context: "TuningContext", plan: "SearchPlan") -> "BatchSizeResult":
    """Search, and have the size found applied.

    Raises:
        BatchSizeError: If no size fits.
    """
    from lit_autotune.report.results import BatchSizeResult
    from lit_autotune.search.choice import Thrift, what_limits
    from lit_autotune.search.throughput import fastest
    from lit_autotune.trials.agreement import agreed_budget

    config, console = context.config, context.console
    console.banner("BATCH SIZE TUNING")
    console.line(f"Mode: {config.batch_size_mode}")
    console.line(f"Initial value: {plan.init_val}")
    console.line(f"Max trials: {config.batch_size_max_trials}")
    budget = agreed_budget(context.sandbox, config.memory_budget, config.memory_margin)
    console.line(f"Memory budget: {budget or 'unknown, sizes are tried until one fails'}")
    is_auto = config.batch_size_target == "auto"
    thrift = Thrift(plan.training, plan.setting.value) if is_auto and plan.training else None
    largest, trials = _search(context, plan, budget, thrift)
    if unusable := [trial for trial in trials if trial.outcome == "cannot_be_used"]:
        sizes = ", ".join(str(trial.batch_size) for trial in unusable)
        console.warn(f"batch sizes that cannot be used, your own code fails with them: {sizes} ({unusable[0].message})")
    context.previews.score_at_most(largest)
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


def _search(
    context: "TuningContext", plan: "SearchPlan", budget: "Budget | None", thrift: "Thrift | None"
) -> tuple[int, list[BatchSizeTrial]]:
    """Search for the largest size; returns it, and all trials."""
    from lit_autotune.memory.budget import enforced
    from lit_autotune.memory.release import quick_release
    from lit_autotune.search.choice import for_target
    from lit_autotune.search.driver import search_batch_size
    from lit_autotune.search.guarded import guarded
    from lit_autotune.trials.agreement import agreed_base
    from lit_autotune.trials.runner import TrialRunner
    from lit_autotune.trials.trial import TrialSpec

    config, console, sandbox = context.config, context.console, context.sandbox
    strategy = guarded(context.registry.strategy(config.batch_size_mode), context.registry)
    steps, method, batches = config.batch_size_steps_per_trial, config.batch_size_method, config.batch_size_probe
    spec = TrialSpec(plan.setting, steps, method, batches, plan.filling)
    with (
        console.progress("batch size", config.batch_size_max_trials, "trials", is_bound=True) as bar,
        enforced(budget, sandbox.trainer.strategy.root_device),
        quick_release(),
        TrialRunner(sandbox, spec, budget, config.trial_isolation, console.warn, plan.epoch) as runner,
    ):

        def probe(size: int) -> Measurement:
            bar.begin(f"trying {size}")
            return runner.try_batch_size(size)

        def on_trial(trial: BatchSizeTrial) -> None:
            bar()
            _tell(context, trial)

        base = agreed_base(sandbox, budget)
        return search_batch_size(
            probe,
            strategy=for_target(strategy, config.batch_size_target, thrift, plan.setting.value),
            registry=context.registry,
            options=bind_options(strategy, config.options),
            init_val=plan.init_val,
            max_trials=config.batch_size_max_trials,
            max_val=plan.max_val,
            budget=budget.usable if budget else None,
            first_guess=_first_guess(context, plan, budget, base) if strategy.uses_estimate else None,
            base=base,
            present=_present(plan),
            margin=config.batch_size_margin,
            on_trial=on_trial,
        )


def _present(plan: "SearchPlan") -> int | None:
    value = plan.setting.value
    return int(value) if value is not None and value >= 1 else None


def _tell(context: "TuningContext", trial: BatchSizeTrial) -> None:
    """Say how a trial ended, to the user and to plugins."""
    console = context.console
    sign, outcome = ("✓", "fits") if trial.fits else ("✗", trial.outcome.replace("_", " "))
    console.line(f"  {sign} batch size {trial.batch_size}: {outcome} ({trial.seconds:.2f} s)")
    if trial.outcome == "cannot_be_used":
        console.line(f"    {trial.message}")
    elif trial.message:
        console.debug(f"    {trial.message}")
    context.registry.notify("lit_autotune_trial_finished", console.warn, trial=trial)


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


def _first_guess(context: "TuningContext", plan: "SearchPlan", budget: "Budget | None", base: int) -> int | None:
    """An estimate, where it costs less than the trials that it saves.

    On a CPU small trials are quick, and kernels take more beside the tensors than an estimate can be right about.
    """
    from lit_autotune.estimate.estimate import first_guess

    on_host = context.sandbox.trainer.strategy.root_device.type == "cpu"
    if budget is None or (on_host and not budget.is_simulated) or context.config.batch_size_method != "fit":
        return None
    guess = first_guess(context.sandbox, plan.setting, budget.usable - base)
    context.console.line(f"Estimate: {guess}" if guess else "Estimate: none, something cannot be traced")
    return guess


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
            check=find,
            prepare=prepare,
            run=run,
            summary="find the largest batch size that fits in memory",
        )
    ]
