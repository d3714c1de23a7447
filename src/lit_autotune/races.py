"""Short paired races: which of a few learning rates trains best over the first steps?"""

import math
from collections.abc import Callable, Iterable, Sequence

from lit_autotune.curves import DivergenceMonitor
from lit_autotune.types import MaybeNaN, Record

FACTOR = 10**0.5
"""Between neighbours, about 3.2. With 4.6 as many steps brought fewer suggestions within 10 % of the best rate."""

EARLY = 2.0
"""How much too high the rate is, in the middle, that leads after 100 steps: a lower one has overtaken it after 400."""


class Heat(Record):
    """One rate's run.

    Attributes:
        learning_rate: The rate, the same at every step.
        losses: The loss of each step.
        score: Mean of the last quarter of the losses, infinite if the run diverged.
    """

    learning_rate: float
    losses: tuple[MaybeNaN, ...]
    score: float

    @property
    def outcome(self) -> str:
        """The score in words."""
        return "diverged" if self.score == math.inf else f"loss {self.score:.4g}"


def race(
    run: Callable[[float, int], Iterable[float]], center: float, steps: int = 100, max_runs: int = 5
) -> tuple[Heat, ...]:
    """Run ``center`` and its two neighbours, and further rates for as long as the best one is at an edge.

    Args:
        run: Takes a rate and a number of steps, trains that long *from the same state on the same batches* each
            time, and yields the losses. It is not asked for more once it has diverged.
        center: The rate in the middle, such as a suggestion.
        steps: Steps of one run. Below 50 the best is often the one that will soon do worse.
        max_runs: At most this many runs.

    Returns:
        The runs, best first. If all diverged the lowest rate comes first.
    """
    heats = [_heat(run, center * FACTOR**place, steps) for place in (0, -1, 1)]
    while len(heats) < max_runs:
        rates = [heat.learning_rate for heat in heats]
        best = min(heats, key=_rank).learning_rate
        if best not in (min(rates), max(rates)):
            break
        heats.append(_heat(run, best * FACTOR if best == max(rates) else best / FACTOR, steps))
    return tuple(sorted(heats, key=_rank))


def verdict(heats: Sequence[Heat]) -> float:
    """The rate to train with: half of the best one's, because short races are won by rates that are too high.

    Args:
        heats: The runs of a race, best first.
    """
    return heats[0].learning_rate / EARLY


def _rank(heat: Heat) -> tuple[float, float]:
    return heat.score, heat.learning_rate


def _heat(run: Callable[[float, int], Iterable[float]], rate: float, steps: int) -> Heat:
    referee, losses = new_referee(), []
    for loss in run(rate, steps):
        losses.append(loss)
        if referee.update(loss):
            return Heat(learning_rate=rate, losses=tuple(losses), score=math.inf)
    last = losses[-max(5, steps // 4) :]
    return Heat(learning_rate=rate, losses=tuple(losses), score=sum(last) / len(last))


def new_referee() -> DivergenceMonitor:
    """Says when a run is out of the race: it diverges, or a loss is missing."""
    return DivergenceMonitor(max_missing=1)
