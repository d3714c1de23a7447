"""``LRFinder``: what Lightning's ``lr_find`` returns, on our curves and suggestions."""

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lit_autotune.curves.points import LRSuggestion
from lit_autotune.curves.schedules import RateKind, convert
from lit_autotune.drop_in.words import LEARNING_RATE, wording
from lit_autotune.errors import LRSuggestionError
from lit_autotune.range_test.suggestions import pick, suggest_all
from lit_autotune.registry.registry import Registry
from lit_autotune.types import LRCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTHING = LRCurve(learning_rates=(), losses=())


@dataclass
class LRFinder:
    """The result of :meth:`Tuner.lr_find`.

    Attributes:
        mode: How the rates are spaced, ``"exponential"`` or ``"linear"``.
        lr_min: The first rate that was asked for.
        lr_max: The last one.
        num_training: How many were asked for.
        measured: What the range test measured; empty if none was run.
        suggestions: Every suggester's answer.
        suggester: Name of the rule in use.
        value: Its suggestion; ``None`` if there is none.
        kind: What it is meant for: a constant rate, or the peak of a schedule.
        reason: Why there is no suggestion.
        results: The points as ``{"lr": [...], "loss": [...]}``, with raw losses. They may be changed.
    """

    mode: str
    lr_min: float
    lr_max: float
    num_training: int
    measured: LRCurve = NOTHING
    suggestions: tuple[LRSuggestion, ...] = ()
    suggester: str = "consensus"
    value: float | None = None
    kind: RateKind = "constant"
    reason: str = ""
    results: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.results = {"lr": list(self.measured.learning_rates), "loss": list(self.measured.losses)}

    @property
    def curve(self) -> LRCurve:
        """The curve that ``results`` hold."""
        return self.measured if self._is_as_measured(0, 0) else self._part(0, 0)

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """The suggested learning rate.

        Args:
            skip_begin: Points to leave out at the beginning.
            skip_end: Points to leave out at the end. Both defaults together stand for the whole curve, because
                smoothing without lag has no spoilt ends to cut off.

        Returns:
            The rate; ``None``, with a warning that says why, if the points give no suggestion.
        """
        if (skip_begin, skip_end) != (10, 1):
            return self._read(self._part(skip_begin, skip_end))
        if not self._is_as_measured(skip_begin, skip_end):
            return self._read(self._part(0, 0))
        if self.value is None:
            warnings.warn(self.reason, stacklevel=2)
        return self.value

    def plot(self, suggest: bool = False, show: bool = False, ax: "Axes | None" = None) -> Any:
        """Plot the curve.

        Args:
            suggest: Mark the suggestion.
            show: Show the figure in a window.
            ax: Axes to draw on; by default those of a new figure.

        Returns:
            The figure.
        """
        from lit_autotune.curves.plot import draw_lr_curve

        if ax is None or show:
            import matplotlib.pyplot as plt
        if ax is None:
            _, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
        draw_lr_curve(ax, self.curve, self.suggestions if suggest else (), self.suggester)
        if self.mode == "linear":
            ax.set_xscale("linear")
        if show:
            plt.show()
        return ax.figure

    def _points(self, skip_begin: int, skip_end: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The rates and losses that ``results`` hold, without some at the ends."""
        rates, losses = self.results["lr"], self.results["loss"]
        part = slice(skip_begin, max(len(losses) - skip_end, 0))
        return tuple(map(float, rates[part])), tuple(map(float, losses[part]))

    def _part(self, skip_begin: int, skip_end: int) -> LRCurve:
        rates, losses = self._points(skip_begin, skip_end)
        return LRCurve(learning_rates=rates, losses=losses)

    def _is_as_measured(self, skip_begin: int, skip_end: int) -> bool:
        part = slice(skip_begin, max(len(self.measured.losses) - skip_end, 0))
        # NaN, a missing loss, equals itself here: tuples compare by identity first.
        measured = self.measured.learning_rates[part], self.measured.losses[part]
        return self._points(skip_begin, skip_end) == measured

    def _read(self, curve: LRCurve) -> float | None:
        registry = Registry.load()
        rule = registry.suggester(self.suggester)
        try:
            value = pick(suggest_all(curve, [rule], {}, lambda text: None, registry, rule.name), rule.name)
        except LRSuggestionError as error:
            warnings.warn(wording("lr_find", LEARNING_RATE)(str(error)), stacklevel=3)
            return None
        return convert(value, rule.kind, self.kind)
