"""What steps of plugins have applied, as our own have to see it: a batch size, and batches that are accumulated."""

from typing import TYPE_CHECKING

from lit_autotune.errors import ConfigError
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.report.results import BatchSizeResult

if TYPE_CHECKING:
    from lit_autotune.tuning.context import TuningContext


def is_size_settled(context: "TuningContext") -> bool:
    """Whether a step of a plugin has applied a batch size, so that ours is not to be compared any more."""
    plan = context.plans.get("batch_size")
    applied = context.applied.get(plan.setting) if plan else None
    return applied is not None and applied.step not in ("batch_size", "comparison")


def follow_applied(context: "TuningContext") -> None:
    """Have the result of the batch-size step say what a step of a plugin has made of it."""
    size = context.results.get("batch_size")
    if not isinstance(size, BatchSizeResult) or not is_size_settled(context):
        return
    applied = context.applied[context.plans["batch_size"].setting]
    if applied.chosen != size.chosen:
        reason = f"step {applied.step!r} has applied it; {size.chosen} was found"
        context.results["batch_size"] = size.model_copy(update={"chosen": applied.chosen, "reason": reason})


def as_applied(context: "TuningContext", training: TrainingPlan) -> TrainingPlan:
    """The training to come, with the batch size and the accumulation that steps have found."""
    for setting, value in context.changes.items():
        if str(setting.places[0]) == "trainer.accumulate_grad_batches":
            training = training.accumulating(value)
    size = _size(context)
    return training if size is None else training.resized(size)


def _size(context: "TuningContext") -> int | None:
    """The batch size found, or applied without a search."""
    found = context.results.get("batch_size")
    if isinstance(found, BatchSizeResult):
        return found.chosen
    if not context.changes:
        return None
    try:
        return context.changes.get(context.find_batch_size())
    except ConfigError:
        return None
