"""Values that a training may get, and how previews of it compare."""

from dataclasses import dataclass, field

from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.planning.preview import FASTER, SIZE_TIE, TIE, Preview, is_better, proof
from lit_autotune.report.results import ComparedValues


@dataclass
class Candidate:
    """Values that the training may get, and the preview of it with them.

    Attributes:
        name: See :class:`~lit_autotune.report.results.ComparedValues`.
        size: The batch size; ``None`` if it is not compared.
        rate: The learning rate; ``None`` if it is not compared.
        plan: The training with them.
        preview: What came of it.
        verdict: Against the best before it.
    """

    name: str
    size: int | None
    rate: float | None
    plan: TrainingPlan
    preview: Preview = field(default_factory=lambda: Preview(losses=()))
    verdict: str = ""

    @property
    def values(self) -> str:
        """The values in words."""
        parts = [f"batch size {self.size}"] if self.size is not None else []
        return ", ".join([*parts, *([f"lr {self.rate:.2e}"] if self.rate is not None else [])])

    @property
    def epoch_seconds(self) -> float | None:
        """Wall time of an epoch's training."""
        batches = self.plan.batches_per_epoch
        return None if batches is None else batches * self.preview.batch_seconds

    @property
    def record(self) -> ComparedValues:
        """For the report."""
        return ComparedValues(
            name=self.name,
            batch_size=self.size or self.plan.batch_size,
            learning_rate=self.rate,
            steps=len(self.preview.losses),
            steps_per_epoch=self.plan.steps_per_epoch,
            seconds_per_epoch=self.epoch_seconds,
            loss=self.preview.score,
            verdict=self.verdict,
        )


def verdict(candidate: Candidate, best: Candidate, scale: float, present: Candidate) -> str:
    """How a candidate does against the best before it, and the first of all.

    Args:
        candidate: The one that is judged.
        best: The best before it.
        scale: The fall of the loss, see :func:`~lit_autotune.planning.preview.fall`.
        present: What is there now.
    """
    if is_better(candidate.preview, best.preview, scale):
        return "better"
    is_resized = candidate.size != best.size
    is_gain = best is not present and is_better(candidate.preview, present.preview, scale)
    tie = SIZE_TIE if is_resized and is_gain else TIE
    if (
        not candidate.preview.scores
        or candidate.preview.rises
        or is_better(best.preview, candidate.preview, scale, tie)
    ):
        return "worse"
    seconds, other = candidate.epoch_seconds, best.epoch_seconds
    is_faster = seconds is not None and other is not None and seconds < FASTER * other
    is_proven = len(candidate.preview.losses) >= proof(candidate.plan.steps)
    return "as good and faster" if is_faster and is_proven and is_resized else "as good"
