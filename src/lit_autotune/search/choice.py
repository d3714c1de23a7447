"""Which of the batch sizes that fit to train with. Pure numbers."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.search.throughput import also_timed, fastest
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, BatchSizeTrial

LEAST_STEPS_PER_EPOCH = 20
"""Optimizer steps that an epoch keeps. With 10 more trainings end worse; with 50 they only get longer."""

LEAST_STEPS = 300
"""Optimizer steps that the training keeps in all."""


LEAST_SIZE = 8
"""However little the data, no training is asked to go on with fewer samples a step."""

CHEAP_SECONDS = 3.0
CHEAP_SHARE = 0.01
"""Of the training's time: so long sizes are tried that only say what fits, and that the training has no use for."""

LARGEST = "the largest that fits"


class Choice(NamedTuple):
    """A batch size, and why no larger one."""

    batch_size: int
    reason: str

    def among(self, largest: int) -> str:
        """The size and what it is the best of, in words."""
        best = f"of {largest} that fit: {self.reason}" if self.batch_size < largest else LARGEST
        return f"{self.batch_size}, {best}"


def largest_useful(plan: TrainingPlan, old: int | None) -> tuple[int | None, str]:
    """The largest size that leaves the training enough optimizer steps, but never less than the present one.

    Returns:
        The size, ``None`` if none is too large; and why larger ones are not useful. Below the bound it is a power of
        two.
    """
    if plan.steps_are_fixed and old is not None:
        return old, "with larger ones there are as many steps, each of them dearer"
    if plan.batches_per_epoch is None or not plan.batch_size or plan.steps_are_fixed:
        return None, ""
    samples = plan.batches_per_epoch * plan.batch_size / plan.accumulate_grad_batches
    bounds = [(samples / LEAST_STEPS_PER_EPOCH, f"fewer than {LEAST_STEPS_PER_EPOCH} steps an epoch")]
    if plan.epochs is not None:
        bounds.append((samples * plan.epochs / LEAST_STEPS, f"fewer than {LEAST_STEPS} steps in all"))
    bound, few = min(bounds)
    size = 2 ** int(math.log2(max(bound, LEAST_SIZE)))
    return max(size, old or 1), f"larger ones leave {few}"


def few_steps(plan: TrainingPlan) -> str:
    """Says so if a training has few optimizer steps; empty if it has enough, or nobody knows."""
    if plan.steps_per_epoch is not None and plan.steps_per_epoch < LEAST_STEPS_PER_EPOCH:
        return f"{plan.steps_per_epoch} optimizer steps an epoch"
    if plan.steps is not None and plan.steps < LEAST_STEPS:
        return f"{plan.steps} optimizer steps in all"
    return ""


def choose(
    target: str, trials: Iterable[BatchSizeTrial], largest: int, plan: TrainingPlan | None, old: int | None
) -> Choice:
    """The size that ``batch_size_target`` asks for, among those that were run.

    ``"auto"`` is the largest size that leaves enough optimizer steps and beyond which throughput still grows, but
    no less than the present one if that fits.
    """
    sizes = sorted(trial.batch_size for trial in trials if trial.fits and trial.batch_size <= largest)
    quickest = fastest(trial for trial in trials if trial.batch_size <= largest)
    if target == "fastest" and quickest is not None:
        return Choice(quickest, "larger ones are hardly faster" if quickest < largest else LARGEST)
    if target != "auto" or plan is None:
        return Choice(largest, LARGEST)
    bound, why = largest_useful(plan, old)
    if quickest is not None and (bound is None or quickest < bound):
        bound, why = max(quickest, old or 1), "larger ones are hardly faster"
    if bound is None or bound >= largest:
        return Choice(largest, LARGEST)
    if old in sizes and bound <= old:
        return Choice(old, f"the present one; {why}")
    return Choice(max((size for size in sizes if size <= bound), default=sizes[0]), why)


def then_try(search: BatchSizeSearch, sizes: Sequence[int]) -> BatchSizeSearch:
    """The same search, then those of the sizes that it left out below what fits."""
    trials: dict[int, BatchSizeTrial] = {}
    try:
        size: int | None = next(search, None)
        while size is not None:
            trials[size] = yield size
            try:
                size = search.send(trials[size])
            except StopIteration:
                break
    finally:
        search.close()
    largest = max((trial.batch_size for trial in trials.values() if trial.fits), default=0)
    for size in sizes:
        if size not in trials and size < largest:
            yield size


def while_worthwhile(search: BatchSizeSearch, is_worthwhile: Callable[[int, BatchSizeTrial], bool]) -> BatchSizeSearch:
    """The same search, up to the first size that is not worth its trial by the one before."""
    try:
        size: int | None = next(search, None)
        while size is not None:
            trial = yield size
            try:
                size = search.send(trial)
            except StopIteration:
                return
            if not is_worthwhile(size, trial):
                return
    finally:
        search.close()


class Thrift:
    """Ends a search where sizes are of no use to the training, and their trials are no longer cheap.

    Attributes:
        useful: The largest size that the training has a use for; ``None`` if that is any.
        stopped: Whether it has ended the search.
    """

    def __init__(self, training: TrainingPlan, old: int | None):
        self.useful, _ = largest_useful(training, old)
        self.stopped = False
        self._samples = training.samples or math.inf
        self._spent = 0.0

    def is_worthwhile(self, size: int, before: BatchSizeTrial) -> bool:
        """Whether to try a size after a trial. Steps are timed alike on all ranks, trials are not."""
        seconds = sum(before.step_seconds)
        self._spent += seconds
        per_sample = seconds / before.batch_size
        per_trained_sample = per_sample / max(len(before.step_seconds), 1)
        cheap = max(CHEAP_SECONDS, CHEAP_SHARE * self._samples * per_trained_sample)
        is_useful = self.useful is None or size <= self.useful
        self.stopped = not is_useful and self._spent + per_sample * size > cheap
        return not self.stopped


def for_target(strategy: BatchSizeStrategy, target: str, thrift: Thrift | None, old: int | None) -> BatchSizeStrategy:
    """The strategy, made to run the sizes that the target needs to know."""

    def search(*arguments: Any, **options: Any) -> BatchSizeSearch:
        sizes = strategy.search(*arguments, **options)
        if target == "fastest":
            return also_timed(sizes)
        if thrift is None:
            return sizes
        others = [size for size in dict.fromkeys((old, thrift.useful)) if size]
        return then_try(while_worthwhile(sizes, thrift.is_worthwhile), others)

    return replace(strategy, search=search)


def what_limits(
    trials: Sequence[BatchSizeTrial],
    max_trials: int,
    max_val: int | None,
    data_hold: int | None,
    thrift: Thrift | None = None,
) -> str:
    """Why no larger size fits.

    Args:
        trials: All trials.
        max_trials: How many there may be.
        max_val: The largest size that may be tried.
        data_hold: The largest size that the data can fill.
        thrift: What may have ended the search.
    """
    if thrift and thrift.stopped:
        return "cost"
    outcomes = {trial.outcome for trial in trials}
    largest = max((trial.batch_size for trial in trials if trial.fits), default=0)
    if {"out_of_memory", "over_budget"} & outcomes:
        return "memory"
    if any(trial.outcome == "cannot_be_used" and trial.batch_size > largest for trial in trials):
        return "error"
    at_bound = max_val is not None and 2 * max(trial.batch_size for trial in trials) > max_val
    if "too_little_data" in outcomes or (at_bound and max_val == data_hold):
        return "data"
    if at_bound:
        return "batch_size_max"
    return "batch_size_max_trials" if len(trials) >= max_trials else "memory"
