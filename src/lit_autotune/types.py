"""The records that plugins return and that reports are made of."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel

from lit_autotune._shared.figures import PlotStyle
from lit_autotune._shared.record import MaybeNaN as MaybeNaN
from lit_autotune._shared.record import Record as Record
from lit_autotune.curves.plot import plot_lr_curve
from lit_autotune.curves.points import Curve
from lit_autotune.curves.points import LRSuggestion as LRSuggestion
from lit_autotune.curves.schedules import RateKind as RateKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BatchSizeTrial(Record):
    """One batch size that was really run.

    Attributes:
        batch_size: The size tried, in samples.
        outcome: ``"fits"``; ``"out_of_memory"``; ``"over_budget"`` when it ran but took more than it may;
            ``"too_little_data"`` when the training data cannot fill one batch of that size; or ``"cannot_be_used"``
            when the user's own code raises an error with it, but not with other sizes.
        seconds: Wall time of the trial, in seconds.
        message: First line of the error that ended it, if one did.
        peak_bytes: Memory at its peak; ``None`` where it could not be measured.
        step_seconds: Wall time per batch of each step, in seconds. The first one warms up.
    """

    batch_size: int
    outcome: Literal["fits", "out_of_memory", "over_budget", "too_little_data", "cannot_be_used"]
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


class LRCurve(Curve):
    """What an LR range test measured, and how it looks."""

    def plot(self, suggestion: "LRSuggestion | None" = None, style: PlotStyle = "light") -> "Figure":
        """Draw the curve.

        Args:
            suggestion: What to mark in it, as :func:`lit_autotune.suggest_lr` returns it.
            style: Colours for a light or a dark page.

        Returns:
            A figure that belongs to no window and no global state. As the last line of a notebook's cell it shows.
        """
        name = suggestion.suggester if suggestion else ""
        return plot_lr_curve(self, (suggestion,) if suggestion else (), name, style=style)

    def _repr_html_(self) -> str:
        from lit_autotune._shared.inline_figure import themed_svg
        from lit_autotune._shared.theme import shown

        return shown(themed_svg(self.plot(), "The loss against the learning rate"))


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
"""Ask and tell in one object: it yields a batch size to try and is sent the trial. It ends when it has seen enough.

Where the size asked for cannot be used but the one below it fits, it is sent the trial of that one.
"""


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
        name: Unique name: what the user writes in ``steps``, and the key of its result in the report.
        run: Takes the :class:`~lit_autotune.tuning.context.TuningContext` and what ``prepare`` returned, does the work
            on copies, returns a record for the report that JSON can hold. Values to write go to ``context.apply``.
        summary: One line for ``autotune plugins``.
        order: Steps run by ascending order: batch size is 100, learning rate 200, comparison 300.
        is_enabled: Takes the ``TunerConfig``, says whether a step that is named is to run after all. A step of a plugin
            runs only if the user names it.
        check: Takes the context and raises if the settings or the user's objects rule the step out. Runs nothing;
            called for all steps first.
        prepare: Takes the context, tries on copies whether the step can work, and raises if not. Called for all
            steps before any step runs.
        options: Model of the table ``[tuner_config.options.NAME]``, if the step has options: ``context.options``.
    """

    name: str
    run: Callable[..., Any]
    summary: str
    order: int = 150
    is_enabled: Callable[..., bool] | None = None
    check: Callable[..., object] | None = None
    prepare: Callable[..., Any] | None = None
    options: type[BaseModel] | None = None
