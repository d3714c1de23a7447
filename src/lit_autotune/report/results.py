"""``TuningReport``: all that a tuning tried, suggested, chose and applied."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lit_autotune._shared.figures import PlotStyle
from lit_autotune._shared.record import Record
from lit_autotune.config import TunerConfig
from lit_autotune.curves.points import LRSuggestion
from lit_autotune.curves.schedules import RateKind
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.planning.races import Heat
from lit_autotune.report.shown import Shown, ShownReport
from lit_autotune.types import BatchSizeTrial, LRCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BatchSizeResult(Shown):
    """Result of the batch-size step.

    Attributes:
        strategy: Name of the strategy used.
        old: The batch size before, ``None`` if there was none.
        chosen: The batch size to train with, in samples. It was run.
        reason: Why it, and no larger one.
        largest: The largest size that fits.
        fastest: The smallest size within 5 % of the best throughput; ``None`` if no steps were timed.
        limit: Why no larger one fits: ``"memory"``, ``"data"``, ``"batch_size_max"``, ``"batch_size_max_trials"``;
            ``"error"`` if with larger ones the user's own code fails; or ``"cost"`` if larger ones were not tried,
            because the training would not use them.
        budget: The memory that trials were allowed, and where that limit comes from; ``None`` if there is none.
        budget_bytes: The same in bytes.
        places: Where it was written, e.g. ``"datamodule.hparams.batch_size"``.
        trials: All trials in the order they were run.
        plot_path: Where the plot of memory against batch size was saved.
    """

    strategy: str
    old: int | None
    chosen: int
    reason: str = ""
    largest: int
    fastest: int | None = None
    limit: str
    budget: str | None = None
    budget_bytes: int | None = None
    places: tuple[str, ...]
    trials: tuple[BatchSizeTrial, ...]
    plot_path: Path | None = None

    def plot(self, style: PlotStyle = "light") -> "Figure":
        """Draw memory and throughput of all trials; a notebook shows the figure."""
        from lit_autotune.report.batch_size_plot import plot_batch_sizes

        return plot_batch_sizes(self.trials, self.budget_bytes, self.chosen, style)


class LearningRateResult(Shown):
    """Result of the learning-rate step.

    Attributes:
        suggester: Name of the rule whose suggestion was chosen.
        old: The learning rate before, ``None`` if there was none.
        chosen: The learning rate to train with: the one suggested, or the old one where that is not better.
        suggested: What the range test suggests, verified by races if there were any.
        kind: What it is meant for: a ``"constant"`` rate, or the ``"max_lr"`` of a schedule.
        applied: Whether the suggestion was written; not if the old one stays, with ``update_model_lr = false``, or if a
            schedule keeps a peak of its own.
        places: Where it is kept, e.g. ``"module.hparams.lr"``; empty if no place was found.
        curve: What the range test measured.
        suggestions: Every suggester's answer.
        doubtful: Whether the suggestion is doubtful, and no race has verified it.
        races: Previews of the training that verified the suggestion, best first; empty if there were none.
        extra_steps: Optimizer steps beyond those of the curve: races, repeats, a range that was too short.
        step_seconds: Wall time of an optimizer step, in seconds.
        plot_path: Where the plot was saved.
    """

    suggester: str
    old: float | None
    chosen: float
    suggested: float | None = None
    kind: RateKind = "constant"
    applied: bool
    places: tuple[str, ...]
    curve: LRCurve
    suggestions: tuple[LRSuggestion, ...]
    doubtful: bool = False
    races: tuple[Heat, ...] = ()
    extra_steps: int = 0
    step_seconds: float = 0.0
    plot_path: Path | None = None

    def plot(self, style: PlotStyle = "light", rules: bool = True) -> "Figure":
        """Draw the range test with the rate that the training gets; a notebook shows the figure.

        Args:
            style: Colours for a light or a dark page.
            rules: Show what the other rules suggest.
        """
        from lit_autotune.report.rate_plot import plot_rate

        return plot_rate(self, style, rules)


class ComparedValues(Record):
    """Some values, and what a preview of the training with them came to.

    Attributes:
        name: ``"present"``, ``"lower rate"``, ``"new rate"``, ``"new size"`` or ``"new"``.
        batch_size: The batch size, in samples; ``None`` if it is unknown.
        learning_rate: The learning rate; ``None`` if it was not tuned.
        steps: Optimizer steps of the preview.
        steps_per_epoch: Optimizer steps of an epoch; ``None`` if unknown.
        seconds_per_epoch: Wall time of an epoch's training, in seconds; ``None`` if unknown.
        loss: The loss on held-out batches at the end; infinite if the preview diverged.
        verdict: Against the values above it: ``"better"``, ``"as good"``, ``"as good and faster"`` or ``"worse"``.
    """

    name: str
    batch_size: int | None = None
    learning_rate: float | None = None
    steps: int
    steps_per_epoch: int | None = None
    seconds_per_epoch: float | None = None
    loss: float
    verdict: str = ""


class Comparison(Shown):
    """Previews of the training with the values before and those found.

    Attributes:
        values: What was compared; empty if nothing was.
        applied: The name of the values that the training gets.
        judge: What they were scored on: ``"validation batches"``, ``"training batches"`` kept aside, or their own
            ``"training losses"`` where neither can be scored.
        share: How much of the training a preview went through; ``None`` if that has no end that is known.
        steps: Optimizer steps of all, a range test at the present batch size included.
        seconds: Wall time of all, in seconds.
        verdict: The result in one line.
    """

    values: tuple[ComparedValues, ...] = ()
    applied: str = ""
    judge: str = ""
    share: float | None = None
    steps: int = 0
    seconds: float = 0.0
    verdict: str


class AppliedValue(Record):
    """A value that a step had written to the user's objects.

    Attributes:
        step: Name of the step.
        places: Where it was written, e.g. ``"trainer.accumulate_grad_batches"``.
        old: The value before.
        chosen: The value to train with.
    """

    step: str
    places: tuple[str, ...]
    old: Any = None
    chosen: Any


class StepTable(Record):
    """A table that a plugin's step brought.

    Attributes:
        step: Name of the step.
        title: What stands above it.
        columns: Headings.
        rows: Cells; numbers are aligned to the right.
    """

    step: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


class StepFigure(Record):
    """A figure that a plugin's step brought.

    Attributes:
        step: Name of the step.
        title: What stands above it.
        svg: The picture, as the text of an SVG element.
        path: Where it was saved as a file, if it was.
    """

    step: str
    title: str
    svg: str
    path: Path | None = None


class TuningReport(ShownReport):
    """The whole result of a tuning.

    Attributes:
        version: Version of lit-autotune.
        config: The settings in force.
        batch_size: Result of the batch-size step, ``None`` if it did not run.
        learning_rate: Result of the learning-rate step, ``None`` if it did not run.
        comparison: Whether the values found train better than those before; ``None`` if that was not asked.
        plan: The training to come, as far as it is known.
        steps: Results of steps that plugins brought, by name.
        applied: What those steps had written to the user's objects.
        tables: Tables that they brought.
        figures: Figures that they brought.
        warnings: What the user should know.
        trainer: Settings of the Trainer that the values hold for.
        keep: Lines to paste that set the values, so that the next training needs no tuning.
        reused: When it was found, if by an earlier tuning of the same thing; ``None`` if all of it was run now.
        seconds: Wall time of the whole tuning, in seconds.
    """

    version: str
    config: TunerConfig
    batch_size: BatchSizeResult | None = None
    learning_rate: LearningRateResult | None = None
    comparison: Comparison | None = None
    plan: TrainingPlan | None = None
    steps: dict[str, Any] = Field(default_factory=dict)
    applied: tuple[AppliedValue, ...] = ()
    tables: tuple[StepTable, ...] = ()
    figures: tuple[StepFigure, ...] = ()
    warnings: tuple[str, ...] = ()
    trainer: dict[str, Any] = Field(default_factory=dict)
    keep: tuple[str, ...] = ()
    reused: datetime | None = None
    seconds: float = 0.0

    @property
    def others(self) -> tuple[AppliedValue, ...]:
        """What is applied beside batch size and learning rate."""
        own = {tuple(one.places) for one in (self.batch_size, self.learning_rate) if one}
        return tuple(one for one in self.applied if one.places not in own)
