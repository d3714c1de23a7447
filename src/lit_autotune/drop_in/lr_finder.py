"""``LRFinder``: what Lightning's ``lr_find`` returns, on our curves and suggestions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lit_autotune.curves.points import LRSuggestion
from lit_autotune.curves.schedules import RateKind, convert
from lit_autotune.range_test.suggestions import pick, suggest_all
from lit_autotune.registry.registry import Registry
from lit_autotune.types import LRCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LRFinder:
    """The result of :meth:`Tuner.lr_find`.

    Attributes:
        curve: What the range test measured.
        suggestions: Every suggester's answer.
        suggester: Name of the rule in use.
        value: Its suggestion.
        kind: What it is meant for: a constant rate, or the peak of a schedule.
    """

    curve: LRCurve
    suggestions: tuple[LRSuggestion, ...]
    suggester: str
    value: float
    kind: RateKind = "constant"

    @property
    def results(self) -> dict[str, list[float]]:
        """The points as ``{"lr": [...], "loss": [...]}``, with raw losses."""
        return {"lr": list(self.curve.learning_rates), "loss": list(self.curve.losses)}

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float:
        """The suggested learning rate.

        Args:
            skip_begin: Points to leave out at the beginning.
            skip_end: Points to leave out at the end. Both defaults together stand for the whole curve, because
                smoothing without lag has no spoilt ends to cut off.

        Raises:
            LRSuggestionError: If the rest of the curve gives no suggestion.
        """
        if (skip_begin, skip_end) == (10, 1):
            return self.value
        part = slice(skip_begin, len(self.curve.losses) - skip_end)
        curve = LRCurve(learning_rates=self.curve.learning_rates[part], losses=self.curve.losses[part])
        rule = Registry.load().suggester(self.suggester)
        return convert(pick(suggest_all(curve, [rule], {}, lambda text: None), rule.name), rule.kind, self.kind)

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
        if show:
            plt.show()
        return ax.figure
