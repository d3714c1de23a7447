"""How long the previews of a tuning may be, and whether a larger batch size can be proven in that time."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lit_autotune.config import TunerConfig
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.planning.preview import MOST_SHARE, preview_steps, proof
from lit_autotune.planning.races import RUNS
from lit_autotune.tuning.applied import is_size_settled
from lit_autotune.types import BatchSizeTrial

if TYPE_CHECKING:
    from lit_autotune.tuning.context import TuningContext


def is_in_question(config: TunerConfig) -> bool:
    """Whether a batch size has to prove itself: not if it was asked for by name, unless that is to be compared, too."""
    return config.compare is True or (config.compare == "auto" and config.batch_size_target == "auto")


def compared_size(context: "TuningContext") -> int | None:
    """The present batch size, if the one found is to be measured against it."""
    size = context.results.get("batch_size")
    if is_size_settled(context):
        return None
    if size is None or size.old is None or size.old == size.chosen or not is_in_question(context.config):
        return None
    fits = any(trial.fits and trial.batch_size == size.old for trial in size.trials)
    is_trained = context.plans["batch_size"].training is not None
    return int(size.old) if fits and is_trained else None


def preview_length(context: "TuningContext", training_plan: TrainingPlan, step_seconds: float, heats: int = 2) -> int:
    """Optimizer steps of a preview, see :meth:`Previews.length`.

    Args:
        context: What the step works with.
        training_plan: The training to come.
        step_seconds: Wall time of an optimizer step, in seconds.
        heats: Previews at one batch size.
    """
    share = 1 / RUNS if heats > 2 else MOST_SHARE  # all races together take no more steps than the training
    old = compared_size(context)
    growth = max(1.0, context.results["batch_size"].chosen / old) if old else None
    runs, spent = preview_budget(context, step_seconds, growth, heats)
    return context.previews.length(training_plan, step_seconds, runs, context.config.verify_budget, share, spent)


def preview_budget(
    context: "TuningContext", step_seconds: float, growth: float | None = None, heats: int = 2
) -> tuple[float, float]:
    """How many previews there will be, dearer ones counted for more, and what the tuning takes without them.

    Args:
        context: What the step works with.
        step_seconds: Wall time of an optimizer step, in seconds.
        growth: How many times larger the batch size is than the present one, if both are compared.
        heats: Previews at one batch size.

    Returns:
        The number, and the time in seconds.
    """
    elapsed = time.perf_counter() - context.started
    spent = max(context.all_gather(elapsed))  # the same on all, so that all run alike
    if growth is None:
        return heats + 1, spent
    if not context.config.use_learning_rate_tuning:
        return 1 + growth, spent
    # A smaller batch costs more for each of its samples, but its steps do not take longer; it has a range test, too.
    sweeps = 1 if "learning_rate" in context.results else 2
    return heats - 1 + (heats + 1) * growth, spent + sweeps * context.config.lr_num_training * step_seconds


def can_be_proven(
    context: "TuningContext", training: TrainingPlan, old: int | None, size: int, trials: Iterable[BatchSizeTrial]
) -> bool:
    """Whether previews are affordable that tell if a size is as good as the present one, where that is in question.

    Args:
        context: What the step works with.
        training: The training to come.
        old: The present size.
        size: The one that would replace it.
        trials: What was tried.
    """
    config = context.config
    speeds = {trial.batch_size: trial.samples_per_second for trial in trials if trial.fits}
    speed = speeds.get(size)
    if old is None or old == size or old not in speeds or not speed or not is_in_question(config):
        return True
    resized = training.resized(size)
    seconds = size * resized.accumulate_grad_batches / speed
    runs, spent = preview_budget(context, seconds, max(1.0, size / old))
    return preview_steps(resized.steps, seconds, runs, config.verify_budget, spent=spent) >= proof(resized.steps)
