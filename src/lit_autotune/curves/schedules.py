"""Learning-rate schedules: constant rates and peaks, the way from one to the other, and a schedule made shorter."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

RateKind = Literal["constant", "max_lr"]
"""What a rate is meant for: to be kept constant, or as the peak of a schedule."""

PEAKED = ("OneCycleLR", "CyclicLR")
"""Schedulers that go up to a ``max_lr`` and down again."""

PEAK = 3.0
"""``max_lr`` per constant rate: on 46 small tasks OneCycleLR's best one was 3 to 5 times the best constant rate."""


def wanted_kind(schedule: str, schedulers: Sequence[str]) -> RateKind:
    """The kind of rate that ``lr_schedule`` asks for, with ``"auto"`` by the class names of the schedulers in use."""
    is_peaked = any(name in PEAKED for name in schedulers) if schedule == "auto" else schedule == "one_cycle"
    return "max_lr" if is_peaked else "constant"


def convert(value: float, kind: RateKind, wanted: RateKind) -> float:
    """A rate of one kind as one of another kind."""
    if kind == wanted:
        return value
    return value * PEAK if wanted == "max_lr" else value / PEAK


class ShortenedSchedule:
    """Learning-rate schedulers that go through the whole of their schedule in a shorter training.

    A scheduler that follows a metric stands still.

    Args:
        steps: Optimizer steps of the shorter training.
        planned_steps: Those of the training that it stands for.
        planned_epochs: Its epochs; ``None`` if unknown.
    """

    def __init__(self, steps: int, planned_steps: int, planned_epochs: int | None):
        self._steps, self._planned = steps, {"step": planned_steps, "epoch": planned_epochs or 0}
        self._schedulers: list[tuple[Callable[[], Any], int]] = []
        self._made: list[int] = []

    def add(self, config: Any, accumulated: int = 1) -> None:
        """Take over a scheduler, before its ``step`` is replaced.

        Args:
            config: The scheduler's configuration.
            accumulated: Batches of an optimizer step; Lightning counts those, not steps, for its frequency.
        """
        if not config.reduce_on_plateau:
            batches = accumulated if config.interval == "step" else 1
            every = config.frequency // math.gcd(config.frequency, batches)
            self._schedulers.append((config.scheduler.step, self._planned[config.interval] // every))
            self._made.append(0)

    def advance(self, done: int) -> None:
        """Bring all schedulers to where they are after so many of the steps."""
        for i, (step, calls) in enumerate(self._schedulers):
            while self._made[i] < calls * done // self._steps:
                step()
                self._made[i] += 1
