"""``TuningReport``: all that a tuning tried, suggested, chose and applied."""

from pathlib import Path
from typing import Any

from pydantic import Field

from lit_autotune.config import TunerConfig
from lit_autotune.races import Heat
from lit_autotune.types import BatchSizeTrial, LRCurve, LRSuggestion, RateKind, Record


class BatchSizeResult(Record):
    """Result of the batch-size step.

    Attributes:
        strategy: Name of the strategy used.
        old: The batch size before, ``None`` if there was none.
        chosen: The batch size found, in samples. It was run.
        largest: The largest size that fits.
        fastest: The smallest size within 5 % of the best throughput; ``None`` if no steps were timed.
        limit: Why no larger one: ``"memory"``, ``"data"``, ``"batch_size_max"`` or ``"batch_size_max_trials"``.
        budget: The memory that trials were allowed, and where that limit comes from; ``None`` if there is none.
        budget_bytes: The same in bytes.
        places: Where it was written, e.g. ``"datamodule.hparams.batch_size"``.
        trials: All trials in the order they were run.
        plot_path: Where the plot of memory against batch size was saved.
    """

    strategy: str
    old: int | None
    chosen: int
    largest: int
    fastest: int | None = None
    limit: str
    budget: str | None = None
    budget_bytes: int | None = None
    places: tuple[str, ...]
    trials: tuple[BatchSizeTrial, ...]
    plot_path: Path | None = None


class LearningRateResult(Record):
    """Result of the learning-rate step.

    Attributes:
        suggester: Name of the rule whose suggestion was chosen.
        old: The learning rate before, ``None`` if there was none.
        chosen: The suggested learning rate.
        kind: What it is meant for: a ``"constant"`` rate, or the ``"max_lr"`` of a schedule.
        applied: Whether it was written; not with ``update_model_lr = false``, or if a schedule keeps a peak of its own.
        places: Where it is kept, e.g. ``"module.hparams.lr"``; empty if no place was found.
        curve: What the range test measured.
        suggestions: Every suggester's answer.
        races: Short trainings at constant rates that verified the suggestion, best first; empty if there were none.
        extra_steps: Optimizer steps beyond those of the curve: races, repeats, a range that was too short.
        plot_path: Where the plot was saved.
    """

    suggester: str
    old: float | None
    chosen: float
    kind: RateKind = "constant"
    applied: bool
    places: tuple[str, ...]
    curve: LRCurve
    suggestions: tuple[LRSuggestion, ...]
    races: tuple[Heat, ...] = ()
    extra_steps: int = 0
    plot_path: Path | None = None


class TuningReport(Record):
    """The whole result of a tuning.

    Attributes:
        version: Version of lit-autotune.
        config: The settings in force.
        batch_size: Result of the batch-size step, ``None`` if it did not run.
        learning_rate: Result of the learning-rate step, ``None`` if it did not run.
        steps: Results of steps that plugins brought, by name.
        warnings: What the user should know.
        seconds: Wall time of the whole tuning, in seconds.
    """

    version: str
    config: TunerConfig
    batch_size: BatchSizeResult | None = None
    learning_rate: LearningRateResult | None = None
    steps: dict[str, Any] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
