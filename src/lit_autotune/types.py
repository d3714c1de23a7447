"""The records that plugins return and that reports are made of."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lit_autotune.orchestrator import TuningContext

# One NaN object for all, so that a report read back from JSON equals the one written.
MaybeNaN = Annotated[float, AfterValidator(lambda x: math.nan if math.isnan(x) else x)]


Method = Literal["fit", "validate", "test", "predict"]
"""The Trainer's methods that a batch size can be found for."""

RateKind = Literal["constant", "max_lr"]
"""What a rate is meant for: to be kept constant, or as the peak of a schedule."""


class Record(BaseModel):
    """A frozen record that survives a JSON round trip, NaN and infinity included."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class BatchSizeTrial(Record):
    """One batch size that was really run.

    Attributes:
        batch_size: The size tried, in samples.
        outcome: ``"fits"``; ``"out_of_memory"``; ``"over_budget"`` when it ran but took more than it may; or
            ``"too_little_data"`` when the training data cannot fill one batch of that size.
        seconds: Wall time of the trial, in seconds.
        message: First line of the error that ended it, if one did.
        peak_bytes: Memory at its peak; ``None`` where it could not be measured.
        step_seconds: Wall time per batch of each step, in seconds. The first one warms up.
    """

    batch_size: int
    outcome: Literal["fits", "out_of_memory", "over_budget", "too_little_data"]
    seconds: float
    message: str = ""
    peak_bytes: int | None = None
    step_seconds: tuple[float, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether this size can be used."""
        return self.outcome == "fits"

    @property
    def samples_per_second(self) -> float | None:
        """Throughput of the fastest step after the first; ``None`` where there was none."""
        return samples_per_second(self.batch_size, self.step_seconds)


def samples_per_second(batch_size: int, step_seconds: Sequence[float]) -> float | None:
    """Throughput of the fastest step after the first, which warms up; ``None`` where there was none."""
    fastest = min(step_seconds[1:], default=0.0)
    return batch_size / fastest if fastest > 0 else None


class Measurement(NamedTuple):
    """What a batch-size trial measured.

    Attributes:
        peak_bytes: Memory at its peak; ``None`` where that cannot be measured.
        step_seconds: Wall time per batch of each step, in seconds; the first one warms up.
    """

    peak_bytes: int | None
    step_seconds: tuple[float, ...] = ()


class LRCurve(Record):
    """What an LR range test measured: one point for each optimizer step.

    Attributes:
        learning_rates: The rate of each step, strictly increasing.
        losses: The raw training loss of each step, before the update with that step's rate; of several sweeps the
            median. NaN where the step had none.
        diverged: Whether the test was stopped because the loss exploded.
        monitor: Which loss it is, if not the training loss: ``lr_monitor``.
        repeats: The losses of each sweep, if there were several; shorter where one diverged.
    """

    learning_rates: tuple[float, ...]
    losses: tuple[MaybeNaN, ...]
    diverged: bool = False
    monitor: str | None = None
    repeats: tuple[tuple[MaybeNaN, ...], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "LRCurve":
        rates = self.learning_rates
        if len(rates) != len(self.losses):
            raise ValueError(f"{len(rates)} learning rates but {len(self.losses)} losses")
        if any(not 0 < low < high for low, high in pairwise((*rates, math.inf))):
            raise ValueError("learning rates must be positive, finite and strictly increasing")
        if any(len(losses) > len(rates) for losses in self.repeats):
            raise ValueError("a repeat has more losses than there are learning rates")
        return self

    def plot(self, suggestion: "LRSuggestion | None" = None) -> "Figure":
        """Draw the curve, for a notebook.

        Args:
            suggestion: What to mark in it, as :func:`lit_autotune.suggest_lr` returns it.

        Returns:
            A figure that belongs to no window and no global state.
        """
        from lit_autotune.plotting import plot_lr_curve

        return plot_lr_curve(self, (suggestion,) if suggestion else (), suggestion.suggester if suggestion else "")

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the points as two columns, ``learning_rate`` and ``loss``; a missing loss is ``nan``."""
        points = zip(self.learning_rates, self.losses, strict=True)
        lines = ["learning_rate,loss", *(f"{rate!r},{loss!r}" for rate, loss in points)]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def finite(self) -> tuple[list[float], list[float]]:
        """The points whose loss is a finite number, as (learning rates, losses)."""
        points = [
            (rate, loss) for rate, loss in zip(self.learning_rates, self.losses, strict=True) if math.isfinite(loss)
        ]
        return [rate for rate, _ in points], [loss for _, loss in points]


class LRSuggestion(Record):
    """What one suggester makes of a curve.

    Attributes:
        suggester: Name of the rule.
        value: The suggested learning rate, or ``None`` if the rule has no answer.
        quality: ``"good"``, or ``"doubtful"`` if the curve gives reason to distrust the value, or there is none.
        reasons: Why it is doubtful, and what to try.
    """

    suggester: str
    value: float | None = None
    quality: Literal["good", "doubtful"] = "good"
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What a batch-size search may know before its first trial.

    Attributes:
        init_val: The size to begin with, in samples; at least 1 and at most ``max_val``.
        max_val: The largest size worth trying (the data hold no more, or the user said so); ``None`` if unknown.
        budget: Memory that a trial may take, in bytes; ``None`` if unknown.
        first_guess: An estimate of the answer, in samples; ``None`` if there is none.
        base: Memory that is taken without any sample, in bytes, as far as it is known.
    """

    init_val: int
    max_val: int | None = None
    budget: int | None = None
    first_guess: int | None = None
    base: int = 0

    def __contains__(self, batch_size: int) -> bool:
        return batch_size >= 1 and (self.max_val is None or batch_size <= self.max_val)


BatchSizeSearch = Generator[int, BatchSizeTrial, None]
"""Ask and tell in one object: it yields a batch size to try and is sent the trial. It ends when it has seen enough."""


@dataclass(frozen=True, slots=True)
class BatchSizeStrategy:
    """How to look for the largest batch size that fits.

    Attributes:
        name: What the user writes as ``batch_size_mode``.
        search: Makes a search. It runs nothing itself: it only yields sizes, so it needs neither torch nor a model.
            With ``options`` set it takes the validated options as keyword ``options``.
        summary: One line for ``autotune plugins``.
        options: Model of the table ``[tuner_config.options.NAME]``, if the strategy has options.
        uses_estimate: Whether the search is quicker with a ``first_guess``. Making one takes some seconds.
    """

    name: str
    search: Callable[..., BatchSizeSearch]
    summary: str
    options: type[BaseModel] | None = None
    uses_estimate: bool = False


@dataclass(frozen=True, slots=True)
class LRSuggester:
    """A rule that reads a learning rate off the curve of an LR range test.

    Attributes:
        name: What the user writes as ``lr_suggester``.
        suggest: Takes the :class:`LRCurve`, returns a learning rate, raises
            :class:`~lit_autotune.errors.LRSuggestionError` saying why if it cannot. With ``options`` set it takes
            the validated options as keyword ``options``.
        summary: One line for ``autotune plugins``.
        options: Model of the table ``[tuner_config.options.NAME]``, if the rule has options.
        kind: What kind of rate it suggests. It is converted to the kind that the module trains with.
    """

    name: str
    suggest: Callable[..., float]
    summary: str
    options: type[BaseModel] | None = None
    kind: RateKind = "constant"


@dataclass(frozen=True, slots=True)
class TuningStep:
    """One step of the tuning, such as "batch size" or "learning rate".

    Attributes:
        name: Unique name, the key of its result in the report.
        order: Steps run by ascending order. Batch size is 100, learning rate 200.
        is_enabled: Takes the ``TunerConfig``, says whether to run.
        run: Takes the :class:`~lit_autotune.orchestrator.TuningContext` and what ``prepare`` returned, does the work
            on copies, returns a JSON-able record for the report. Values to write are handed to ``context.apply``.
        summary: One line for ``autotune plugins``.
        check: Takes the context and raises if the settings or the user's objects rule the step out. Runs nothing;
            called for all steps first.
        prepare: Takes the context, tries on copies whether the step can work, and raises if not. Called for all
            steps before any step runs.
        options: Model of the table ``[tuner_config.options.NAME]``, if the step has options.
    """

    name: str
    order: int
    is_enabled: Callable[..., bool]
    run: Callable[["TuningContext", Any], Any]
    summary: str
    check: Callable[["TuningContext"], object] | None = None
    prepare: Callable[["TuningContext"], Any] | None = None
    options: type[BaseModel] | None = None
