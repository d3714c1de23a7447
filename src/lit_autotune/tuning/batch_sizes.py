"""Batch-size trials for steps: a single one, and a whole search."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from lit_autotune.errors import TooLittleDataError
from lit_autotune.estimate.estimate import first_guess
from lit_autotune.memory.budget import Budget, enforced
from lit_autotune.memory.release import quick_release
from lit_autotune.registry.options import bind_options
from lit_autotune.search.driver import search_batch_size
from lit_autotune.search.trials import tried
from lit_autotune.trials.agreement import agreed_base
from lit_autotune.trials.runner import TrialRunner
from lit_autotune.trials.search_plan import SearchPlan
from lit_autotune.trials.trial import TrialSpec
from lit_autotune.types import BatchSizeStrategy, BatchSizeTrial, Measurement

if TYPE_CHECKING:
    from lit_autotune.tuning.on_copies import OnCopies


def try_one(context: "OnCopies", plan: SearchPlan, batch_size: int) -> BatchSizeTrial:
    """Try a batch size where that is safe; see :meth:`lit_autotune.tuning.context.TuningContext.trial`."""
    budget = context.memory_budget()
    with enforced(budget, context.sandbox.trainer.strategy.root_device), _runner(context, plan, budget) as runner:

        def probe(size: int) -> Measurement:
            if plan.data_hold is not None and size > plan.data_hold:
                raise TooLittleDataError(f"the training data fill at most {plan.data_hold}")
            return runner.try_batch_size(size)

        return tried(probe, batch_size, budget.usable if budget else None)


def search(
    context: "OnCopies",
    plan: SearchPlan,
    budget: Budget | None,
    strategy: BatchSizeStrategy,
    on_trial: Callable[[BatchSizeTrial], None],
) -> tuple[int, list[BatchSizeTrial]]:
    """Search for the largest batch size; see :meth:`lit_autotune.tuning.on_copies.OnCopies.search`."""
    config, console = context.config, context.console
    with (
        console.progress("batch size", config.batch_size_max_trials, "trials", is_bound=True) as bar,
        enforced(budget, context.sandbox.trainer.strategy.root_device),
        quick_release(),
        _runner(context, plan, budget) as runner,
    ):

        def probe(size: int) -> Measurement:
            bar.begin(f"trying {size}")
            return runner.try_batch_size(size)

        def ended(trial: BatchSizeTrial) -> None:
            bar()
            on_trial(trial)
            context.registry.notify("lit_autotune_trial_finished", console.warn, trial=trial)

        base = agreed_base(context.sandbox, budget)
        return search_batch_size(
            probe,
            strategy=strategy,
            registry=context.registry,
            options=bind_options(strategy, config.options),
            init_val=plan.init_val,
            max_trials=config.batch_size_max_trials,
            max_val=plan.max_val,
            budget=budget.usable if budget else None,
            first_guess=_first_guess(context, plan, budget, base) if strategy.uses_estimate else None,
            base=base,
            present=plan.setting.size,
            margin=config.batch_size_margin,
            on_trial=ended,
        )


def _runner(context: "OnCopies", plan: SearchPlan, budget: Budget | None) -> TrialRunner:
    config = context.config
    steps, method, batches = config.batch_size_steps_per_trial, config.batch_size_method, config.batch_size_probe
    spec = TrialSpec(plan.setting, steps, method, batches, plan.filling)
    return TrialRunner(context.sandbox, spec, budget, config.trial_isolation, context.console.warn, plan.epoch)


def _first_guess(context: "OnCopies", plan: SearchPlan, budget: Budget | None, base: int) -> int | None:
    """An estimate, where it costs less than the trials that it saves.

    On a CPU small trials are quick, and kernels take more beside the tensors than an estimate can be right about.
    """
    on_host = context.sandbox.trainer.strategy.root_device.type == "cpu"
    if budget is None or (on_host and not budget.is_simulated) or context.config.batch_size_method != "fit":
        return None
    guess = first_guess(context.sandbox, plan.setting, budget.usable - base)
    context.console.line(f"Estimate: {guess}" if guess else "Estimate: none, something cannot be traced")
    return guess
