"""Which values train better: the verdict on previews of the same training. Pure numbers."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from lit_autotune._shared.record import MaybeNaN, Record

SECONDS = 7.0
"""Wall time that a tuning may always take, previews included."""

LEAST_SECONDS = 3.0
"""Wall time that previews may always take."""

MOST_SECONDS = 600.0
"""Wall time that it never exceeds, however long the training."""

MOST_SHARE = 0.5
"""Largest share of the training that one preview goes through."""

LEAST_STEPS = 20
"""A preview of fewer steps says nothing, unless the training itself has no more."""

FREE_STEPS = 100
"""Previews that take no more steps than a range test are always run, however slow the steps."""

TIE = 0.02
"""Share of the fall of the loss below which two previews are as good as each other."""

SIZE_TIE = 0.06
"""The same for a larger batch that is better than the present values: at the beginning small ones always lead."""

PROOF = 60
"""Steps that a preview with a larger batch needs, for "as good" to be said of it; or half of the training's."""

FASTER = 0.95
"""An epoch that takes less than this share of another's time is faster beyond noise."""


MOMENTS = 3
"""So many moments at least tell a rise from noise."""


class Preview(Record):
    """What a shortened training came to.

    Attributes:
        losses: The training loss of each optimizer step.
        before: The loss on the held-out batches before the first step.
        course: The mean loss on them at some moments of the second half, the last of them the end.
        scores: The loss on each held-out batch towards the end; empty if the training diverged.
        batch_seconds: Wall time of a training batch, in seconds: the median.
    """

    losses: tuple[MaybeNaN, ...]
    before: MaybeNaN = math.nan
    course: tuple[MaybeNaN, ...] = ()
    scores: tuple[float, ...] = ()
    batch_seconds: float = 0.0

    @property
    def score(self) -> float:
        """The mean loss on the held-out batches towards the end; infinite if the training diverged."""
        return math.fsum(self.scores) / len(self.scores) if self.scores else math.inf

    @property
    def outcome(self) -> str:
        """What it came to, in words."""
        if not self.losses:
            return "out of memory"
        result = f"loss {self.score:.4g}" if self.scores else "diverged"
        return f"{result} after {len(self.losses)} steps"

    @property
    def rises(self) -> bool:
        """Whether the loss on the held-out batches has been rising all the time: the training overfits already."""
        return len(self.course) > MOMENTS and all(before < after for before, after in pairwise(self.course))


def preview_steps(
    steps: int | None,
    seconds: float,
    runs: float,
    budget: float,
    share: float = MOST_SHARE,
    scoring: float = 0.0,
    spent: float = 0.0,
) -> int:
    """How many steps each of some previews may have.

    Shares of the training are rounded down to 1/2, 1/3, 1/4, 1/6, 1/8 and so on, so that times measured a little
    differently end in the same previews.

    Args:
        steps: Steps of the whole training; ``None`` if it has no known end, and so no share that could be taken.
        seconds: What one step takes.
        runs: How many previews there will be; dearer ones count for more.
        budget: ``TunerConfig.verify_budget``, a share of the training.
        share: The largest share of the training that a preview may go through.
        scoring: What it takes to score one, in seconds.
        spent: What the tuning takes without previews, in seconds.

    Returns:
        The steps; 0 if there would be too few to tell anything.
    """
    whole = 0.0 if steps is None else steps * seconds
    allowed = min(max(SECONDS - spent, LEAST_SECONDS, budget * whole), MOST_SECONDS)
    most = max(allowed / runs - scoring, 0.0) / max(seconds, 1e-9)
    if steps is None:
        return int(most) if most >= LEAST_STEPS else _free(LEAST_STEPS, runs, seconds)
    affordable = min(most / max(steps, 1), share)
    rounded = max((part for part in _parts(steps) if part <= affordable), default=0.0)
    least = min(LEAST_STEPS, steps)
    count = max(int(rounded * steps + 1e-9), least)
    return count if count <= most else _free(least, runs, seconds)


def _free(least: int, runs: float, seconds: float) -> int:
    """The shortest previews, if they cost no more than a range test."""
    return least if runs * least <= FREE_STEPS and runs * least * seconds <= MOST_SECONDS else 0


def _parts(steps: int) -> list[float]:
    halvings = range(1, steps.bit_length() + 2)
    return [part for k in halvings for part in (2.0**-k, 2.0**-k * 2 / 3)]


def fall(previews: Sequence[Preview]) -> float:
    """How far the best of some previews has brought the loss down."""
    best = min(preview.score for preview in previews)
    before = previews[0].before
    return max(before - best, 0.0) if math.isfinite(best) and math.isfinite(before) else 0.0


def margin(one: Preview, other: Preview, scale: float, tie: float = TIE) -> float:
    """By how much the scores of two previews must differ to count: twice the noise of their paired batches."""
    if not one.scores or not other.scores:
        return 0.0
    gaps = [a - b for a, b in zip(one.scores, other.scores, strict=True)]
    noise = statistics.stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    return max(2 * noise, tie * scale)


def proof(steps: int | None) -> int:
    """Steps that a preview with a larger batch needs, of a training of so many."""
    return PROOF if steps is None else min(PROOF, steps // 2)


def is_better(one: Preview, other: Preview, scale: float, tie: float = TIE) -> bool:
    """Whether one preview ends lower than another beyond noise; a run that diverged is worse than any other.

    One whose loss on the held-out batches is rising already is not better than one whose loss is not: that it is lower
    will not last.

    Args:
        one: The one.
        other: The other, scored on the same batches.
        scale: The fall of the loss, see :func:`fall`.
        tie: The share of it below which they are as good as each other.
    """
    if not math.isfinite(one.score) or (one.rises and not other.rises):
        return False
    return not math.isfinite(other.score) or one.score < other.score - margin(one, other, scale, tie)
