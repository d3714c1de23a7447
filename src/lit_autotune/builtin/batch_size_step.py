"""Tuning step ``batch_size``: the largest batch size that fits in memory, and which one to train with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.attributes import Setting, find_batch_size
from lit_autotune.errors import ConfigError
from lit_autotune.hookspecs import hookimpl
from lit_autotune.registry import bind_options
from lit_autotune.types import BatchSizeTrial, Measurement, TuningStep

if TYPE_CHECKING:
    from lit_autotune.budget import Budget
    from lit_autotune.looks import Look
    from lit_autotune.orchestrator import TuningContext
    from lit_autotune.plan import TrainingPlan
    from lit_autotune.report import BatchSizeResult


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known before the search.

    Attributes:
        setting: Where the batch size is kept.
        init_val: Size of the first trial.
        max_val: Largest size to try, if there is one.
        data_hold: Largest size the data can fill, if they know it.
        samples_per_unit: Samples that must arrive per unit of batch size, where that has to be checked.
        training: The training to come, with the present batch size if there is one; ``None`` for evaluations.
    """

    setting: Setting
    init_val: int
    max_val: int | None
    data_hold: int | None
    samples_per_unit: int | None
    training: "TrainingPlan | None" = None


def find(context: "TuningContext") -> Setting:
    """Where the batch size is kept.

    Raises:
        ConfigError: If that is unknown, or places disagree, or the batches to run on cannot be made.
    """
    from lit_autotune.worst_case import check_probe

    check_probe(context.config.batch_size_probe)
    return find_batch_size(context.owners, context.config.batch_size_attribute)


def prepare(context: "TuningContext") -> Plan:
    """Find the setting and prove that it changes the batches that arrive.

    Raises:
        ConfigError: If there is no such setting, or it has no effect.
    """
    from lit_autotune.looks import look

    config = context.config
    setting = find(context)
    context.console.debug(f"batch size is kept in {setting}")
    init_val = min(config.batch_size_init_val, config.batch_size_max or config.batch_size_init_val)
    first = look(context.sandbox, {setting: init_val}, config.batch_size_method)
    bounds = [bound for bound in (first.most, config.batch_size_max) if bound is not None]
    max_val = min(bounds, default=None)
    if max_val is not None and init_val > max_val:
        init_val = max_val
        first = look(context.sandbox, {setting: init_val}, config.batch_size_method)
    other = 2 * init_val if max_val is None or 2 * init_val <= max_val else init_val // 2
    if other:
        first = _prove_effect(context, setting, (init_val, first), other)
    seen = first.batch_size
    # Only where the data do not know their length can a batch turn out smaller than asked for.
    per_unit = seen // init_val if first.most is None and seen and seen % init_val == 0 else None
    training = _training(context, setting, (init_val, first)) if config.batch_size_method == "fit" else None
    return Plan(setting, init_val, max_val, first.most, per_unit, training)


def _training(context: "TuningContext", setting: Setting, known: tuple[int, "Look"]) -> "TrainingPlan":
    """The training with the present batch size, or a known one. Not looked at: the present size may be too large."""
    from lit_autotune.looks import training_plan

    size, seen = known
    training = training_plan(context.sandbox.trainer, seen, size)
    old = setting.value
    return training.resized(int(old)) if old is not None and old >= 1 else training


def _prove_effect(context: "TuningContext", setting: Setting, known: tuple[int, "Look"], other: int) -> "Look":
    from lit_autotune.looks import look

    size, first = known
    method = context.config.batch_size_method
    second = look(context.sandbox, {setting: other}, method)
    if not _differ(first, second):
        # Batches may be made in setup(), which so far ran once for all copies.
        context.sandbox.repeat_setup()
        first, second = (look(context.sandbox, {setting: value}, method) for value in (size, other))
    if not _differ(first, second):
        batches, reader = ("training", "train_dataloader") if method == "fit" else (method, "the loader")
        raise ConfigError(
            f"changing {setting} does not change the {batches} batches (batch size stays {first.batch_size}); "
            f"let {reader} read it, or name the right place with batch_size_attribute"
        )
    return first


def _differ(first: "Look", second: "Look") -> bool:
    return first.batch_size != second.batch_size or first.batches != second.batches


def run(context: "TuningContext", plan: Plan) -> "BatchSizeResult":
    """Search, and have the size found applied.

    Raises:
        BatchSizeError: If no size fits.
    """
    from lit_autotune.batch_choice import Choice, Thrift, choose, few_steps, for_target, what_limits
    from lit_autotune.budget import enforced
    from lit_autotune.memory import quick_release
    from lit_autotune.preview_budget import can_be_proven
    from lit_autotune.probing import Prober, agreed_base, agreed_budget
    from lit_autotune.report import BatchSizeResult
    from lit_autotune.search import search_batch_size
    from lit_autotune.throughput import fastest
    from lit_autotune.trials import TrialSpec

    config, console = context.config, context.console
    strategy = context.registry.strategy(config.batch_size_mode)
    console.banner("BATCH SIZE TUNING")
    console.line(f"Mode: {config.batch_size_mode}")
    console.line(f"Initial value: {plan.init_val}")
    console.line(f"Max trials: {config.batch_size_max_trials}")
    is_auto = config.batch_size_target == "auto"
    thrift = Thrift(plan.training, plan.setting.value) if is_auto and plan.training else None
    budget = agreed_budget(context.sandbox, config.memory_budget, config.memory_margin)
    console.line(f"Memory budget: {budget or 'unknown, sizes are tried until one fails'}")
    device = context.sandbox.trainer.strategy.root_device
    with (
        console.progress("batch size", config.batch_size_max_trials) as advance,
        enforced(budget, device),
        quick_release(),
        Prober(context.sandbox, budget, config.trial_isolation, console.warn) as prober,
    ):

        def probe(size: int) -> Measurement:
            advance(f"trying {size}")
            expected = plan.samples_per_unit and size * plan.samples_per_unit
            steps, method = config.batch_size_steps_per_trial, config.batch_size_method
            return prober.try_batch_size(
                {plan.setting: size}, TrialSpec(size, expected, steps, method, config.batch_size_probe)
            )

        def on_trial(trial: BatchSizeTrial) -> None:
            sign, outcome = ("✓", "fits") if trial.fits else ("✗", trial.outcome.replace("_", " "))
            console.line(f"  {sign} batch size {trial.batch_size}: {outcome} ({trial.seconds:.2f} s)")
            if trial.message:
                console.debug(f"    {trial.message}")
            context.registry.notify("lit_autotune_trial_finished", console.warn, trial=trial)

        base = agreed_base(context.sandbox)
        largest, trials = search_batch_size(
            probe,
            strategy=for_target(strategy, config.batch_size_target, thrift, plan.setting.value),
            options=bind_options(strategy, config.options),
            init_val=plan.init_val,
            max_trials=config.batch_size_max_trials,
            max_val=plan.max_val,
            budget=budget.usable if budget else None,
            first_guess=_first_guess(context, plan, budget, base) if strategy.uses_estimate else None,
            base=base,
            margin=config.batch_size_margin,
            on_trial=on_trial,
        )
    context.previews.most_samples = largest
    choice = choose(config.batch_size_target, trials, largest, plan.training, plan.setting.value)
    if plan.training and not can_be_proven(context, plan.training, plan.setting.value, choice.batch_size, trials):
        choice = Choice(int(plan.setting.value), f"the present one; no time to compare it with {choice.batch_size}")
    chosen = choice.batch_size
    console.line(f"✓ Optimal batch size found: {choice.among(largest)}", "bold green")
    limit = what_limits(trials, config.batch_size_max_trials, plan.max_val, plan.data_hold, thrift)
    console.line(f"  Largest that fits: {largest}, limited by: {limit}")
    quickest = fastest(trial for trial in trials if trial.batch_size <= largest)
    if quickest and quickest < chosen:
        console.line(f"  Within 5 % of the best throughput already: {quickest} (batch_size_target = 'fastest')")
    few = few_steps(plan.training.resized(chosen)) if plan.training and chosen != plan.setting.value else ""
    if few and not is_auto:
        console.warn(f"batch size {chosen} leaves {few}; batch_size_target = 'auto' would leave more")
    plot_path = _save_plot(context, trials, budget.usable if budget else None, chosen)
    if plot_path:
        console.line(f"  Memory plot saved to: {plot_path}")
    context.apply(plan.setting, chosen)
    return BatchSizeResult(
        strategy=strategy.name,
        old=plan.setting.value,
        chosen=chosen,
        reason=choice.reason,
        largest=largest,
        fastest=quickest,
        limit=limit,
        budget=str(budget) if budget else None,
        budget_bytes=budget.usable if budget else None,
        places=tuple(str(place) for place in plan.setting.places),
        trials=tuple(trials),
        plot_path=plot_path,
    )


def _first_guess(context: "TuningContext", plan: Plan, budget: "Budget | None", base: int) -> int | None:
    """An estimate, where it costs less than the trials that it saves.

    On a CPU small trials are quick, and kernels take more beside the tensors than an estimate can be right about.
    """
    from lit_autotune.estimate import first_guess

    on_host = context.sandbox.trainer.strategy.root_device.type == "cpu"
    if budget is None or (on_host and not budget.is_simulated) or context.config.batch_size_method != "fit":
        return None
    guess = first_guess(context.sandbox, plan.setting, budget.usable - base)
    context.console.line(f"Estimate: {guess}" if guess else "Estimate: none, something cannot be traced")
    return guess


def _save_plot(context: "TuningContext", trials: list[BatchSizeTrial], budget: int | None, chosen: int) -> Path | None:
    from lit_autotune.memory_plot import DEFAULT_PATH, plot_memory

    if all(trial.peak_bytes is None for trial in trials):
        return None
    return context.save_figure(lambda: plot_memory(trials, budget, chosen), "batch_size_plot_path", DEFAULT_PATH)


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
