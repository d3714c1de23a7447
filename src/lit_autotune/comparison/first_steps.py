"""The beginning of a range test: its announcement, and first steps that show what it lacks before others run."""

from typing import TYPE_CHECKING

from lit_autotune.comparison.rate_search import RatePlan
from lit_autotune.errors import is_users_own
from lit_autotune.planning.plan import TrainingPlan

if TYPE_CHECKING:
    from lit_autotune.tuning.context import TuningContext

FIRST_STEPS = 5
"""After so many steps without a loss a range test ends."""

WAYS = {"exponential": "exponentially", "linear": "linearly"}


def make_first_steps(context: "TuningContext", plan: RatePlan) -> RatePlan:
    """Begin a range test, if another step is to come before it; returns the plan.

    Raises:
        ConfigError: If ``lr_monitor`` is not logged.
        TuningError: If the module has no loss to show, or never steps the optimizer.
    """
    _warn_of_few_steps(context, plan.training)
    size = context.plans.get("batch_size")
    if size is None or not context.ranks_fail_together:
        return plan
    rates = [context.config.lr_min] * FIRST_STEPS
    try:
        context.range_test({**plan.start, size.setting: size.init_val}, plan.scales, rates)
    except Exception as error:
        if not (is_users_own(error) or context.is_out_of_memory(error)):
            raise  # what is wrong with this batch size is for the search to find out
    return plan


def announce(context: "TuningContext", training: TrainingPlan) -> None:
    """Say what the range test will be."""
    config, console = context.config, context.console
    console.banner("LEARNING RATE FINDER (LR Range Test)")
    console.line(f"LR range: [{config.lr_min:.2e}, {config.lr_max:.2e}]")
    console.line(f"Training iterations: {config.lr_num_training}")
    _warn_of_few_steps(context, training)
    console.line(f"Training while {WAYS[config.lr_mode]} increasing LR...")


def _warn_of_few_steps(context: "TuningContext", training: TrainingPlan) -> None:
    """Say once that the range test is longer than the whole training."""
    steps, wanted = training.steps, context.config.lr_num_training
    warning = f"the range test makes {wanted} optimizer steps, the whole training only"
    if steps is not None and wanted > steps and not any(warning in text for text in context.console.warnings):
        context.console.warn(f"{warning} {steps}; lower lr_num_training, or set the learning rate by hand")
