"""A single batch-size trial, for steps of plugins."""

import time

from lit_autotune._shared.sizes import format_size
from lit_autotune._shared.text import first_line
from lit_autotune.config import TunerConfig
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import TooLittleDataError
from lit_autotune.memory.budget import enforced
from lit_autotune.report.console import Console
from lit_autotune.trials.agreement import agreed_budget
from lit_autotune.trials.runner import TrialRunner
from lit_autotune.trials.search_plan import SearchPlan
from lit_autotune.trials.trial import TrialSpec
from lit_autotune.types import BatchSizeTrial


def try_one(
    sandbox: Sandbox, plan: SearchPlan, batch_size: int, config: TunerConfig, console: Console
) -> BatchSizeTrial:
    """Try a batch size where that is safe; see :meth:`lit_autotune.tuning.context.TuningContext.trial`."""
    budget = agreed_budget(sandbox, config.memory_budget, config.memory_margin)
    steps, method, batches = config.batch_size_steps_per_trial, config.batch_size_method, config.batch_size_probe
    spec = TrialSpec(plan.setting, steps, method, batches, plan.filling)
    start = time.perf_counter()
    with (
        enforced(budget, sandbox.trainer.strategy.root_device),
        TrialRunner(sandbox, spec, budget, config.trial_isolation, console.warn, plan.epoch) as runner,
    ):
        try:
            if plan.data_hold is not None and batch_size > plan.data_hold:
                raise TooLittleDataError(f"the training data fill at most {plan.data_hold}")
            measured = runner.try_batch_size(batch_size)
        except (MemoryError, TooLittleDataError) as error:
            seconds, message = time.perf_counter() - start, first_line(error)
            outcome = "out_of_memory" if isinstance(error, MemoryError) else "too_little_data"
            return BatchSizeTrial(batch_size=batch_size, outcome=outcome, seconds=seconds, message=message)
    peak = measured.peak_bytes
    is_over = budget is not None and peak is not None and peak > budget.usable
    return BatchSizeTrial(
        batch_size=batch_size,
        outcome="over_budget" if is_over else "fits",
        seconds=time.perf_counter() - start,
        message=f"took {format_size(peak)} of {format_size(budget.usable)}" if is_over and budget and peak else "",
        peak_bytes=peak,
        step_seconds=measured.step_seconds,
    )
