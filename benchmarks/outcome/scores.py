"""Whether a training ended better than the untouched ones, beyond their own noise."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.outcome.measure import SEEDS, Key, found_for, same_time_key
from benchmarks.outcome.suite import find
from benchmarks.outcome.tasks import Task

LIMIT = math.log(10)
"""A loss that is more than ten times better or worse counts as ten times, lest one task decide a mean."""


@dataclass(frozen=True)
class Outcome:
    """One tuned training against the untouched one of the same seed.

    Attributes:
        task: Name of the task.
        seed: Its seed.
        is_sensible: Whether the values before were.
        variant: What tuned.
        values: Batch size and rate before and after.
        verdict: ``better`` than the best of the untouched runs, ``worse`` than the worst of them, or the ``same``.
        by_score: The same by the score; ``None`` if the task has none.
        by_time: The same by loss, trained for the wall time of the untouched run; ``None`` if that was not measured.
        log_ratio: Logarithm of the loss over the untouched one's.
        time: Training time over the untouched one's.
        steps: Optimizer steps over the untouched one's.
        cost: Seconds of the tuning.
        untouched_seconds: Seconds of the untouched training.
        failed: Whether the tuning ended in an error.
    """

    task: str
    seed: int
    is_sensible: bool
    variant: str
    values: tuple[int, float, int, float]
    verdict: str
    by_score: str | None
    by_time: str | None
    log_ratio: float
    time: float
    steps: float
    cost: float
    untouched_seconds: float
    failed: bool


def outcomes(done: dict[Key, Any], tasks: Iterable[Task]) -> Iterator[Outcome]:
    """All tunings of some tasks that were measured, judged."""
    for untuned, variant, found in found_for(tasks, done):
        name, seed, size, rate = untuned
        task = find(name)
        runs = [done["train", name, other, size, rate, 1.0] for other in SEEDS]
        before = done["train", *untuned, 1.0]
        new = (size, rate) if found["error"] else (found["batch_size"], found["learning_rate"])
        after = done["train", name, seed, *new, 1.0]
        key = None if found["error"] else same_time_key(done, untuned, found)
        longer = done.get(key) if key else None
        yield Outcome(
            task=name,
            seed=seed,
            is_sensible=(size, rate) == (task.batch_size, task.learning_rate),
            variant=variant,
            values=(size, rate, *new),
            verdict=verdict(after["loss"], [run["loss"] for run in runs]),
            by_score=verdict(-after["score"], [-run["score"] for run in runs]) if task.score else None,
            by_time=verdict(longer["loss"], [run["loss"] for run in runs]) if longer else None,
            log_ratio=log_ratio(after["loss"], before["loss"]),
            time=after["seconds"] / before["seconds"],
            steps=after["steps"] / before["steps"],
            cost=found["seconds"],
            untouched_seconds=before["seconds"],
            failed=found["error"] is not None,
        )


def verdict(loss: float, untouched: Sequence[float]) -> str:
    """Against the spread of the untouched runs over their seeds; what is not finite is worse."""
    if not math.isfinite(loss):
        return "worse"
    known = [other if math.isfinite(other) else math.inf for other in untouched]
    return "better" if loss < min(known) else "worse" if loss > max(known) else "same"


def log_ratio(loss: float, before: float) -> float:
    """Logarithm of the ratio of two positive losses, at most tenfold either way."""
    if not math.isfinite(loss):
        return LIMIT
    if not math.isfinite(before):
        return -LIMIT
    return min(max(math.log(max(loss, 1e-9) / max(before, 1e-9)), -LIMIT), LIMIT)
