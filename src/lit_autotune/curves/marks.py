"""The rates that are marked in the plot of an LR range test, and what has to be said about them."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lit_autotune._shared.figures import Palette, beside
from lit_autotune.curves.points import LRSuggestion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a suggestion. All rates are constant ones, as those that the range test sweeps over.

    Attributes:
        rate: The rate that the training gets.
        label: What it is, for the legend.
        value: It in the user's terms, such as with the ``max_lr`` that it stands for.
        why: Why it, should it lie where the test diverges.
        raced: The rates that were raced, with what became of them.
    """

    rate: float
    label: str
    value: str
    why: str = ""
    raced: tuple[tuple[float, str], ...] = ()

    @property
    def rates(self) -> tuple[float, ...]:
        """All rates that have to be seen."""
        return (self.rate, *(rate for rate, _ in self.raced))


def mark_rates(
    axes: "Axes",
    palette: Palette,
    line: Line,
    suggestions: Sequence[LRSuggestion],
    chosen: str,
    outcome: Outcome | None,
    rules: bool,
    diverging: float | None,
) -> list[str]:
    """Mark the chosen rate on the curve, the others smaller; returns notes for below the plot.

    Args:
        axes: What to draw on.
        palette: Its colours.
        line: The smoothed curve.
        suggestions: All suggesters' answers.
        chosen: The suggester whose answer is marked.
        outcome: What came of that answer; if not known, it is the rate to mark.
        rules: Mark the answers of the other rules.
        diverging: From where on the test diverges, if it does.
    """
    notes: list[str] = []
    mine = next((one for one in suggestions if one.suggester == chosen), None)
    suggested = mine.value if mine else None
    if outcome and outcome.raced:
        _mark_races(axes, palette, line, outcome)
        notes.append("Raced: " + ", ".join(f"{rate:.2e} {came_to}" for rate, came_to in outcome.raced))
    if mine and suggested is not None:
        doubt = "" if mine.quality == "good" else ", doubtful"
        label = f"suggestion ({chosen}): {suggested:.2e}{doubt}"
        if outcome is None:
            outcome = Outcome(suggested, label, f"{suggested:.2e}")
        elif not math.isclose(suggested, outcome.rate, rel_tol=1e-3):
            _point(axes, palette, line, suggested, "D", label, hollow=True)
    if outcome is not None:
        _mark_outcome(axes, palette, line, outcome)
    others = sorted((one.value, one.suggester) for one in suggestions if one.value and one.suggester != chosen)
    if others and rules:
        _tick(axes, palette, [rate for rate, _ in others])
        notes.append("Other rules, from the left: " + ", ".join(f"{name} {rate:.1e}" for rate, name in others))
    if outcome and diverging is not None and outcome.rate >= diverging:
        why = outcome.why or "so this rule reads the curve; a lower rate is safer"
        notes.append(f"{outcome.value} lies where this short test diverges: {why}")
    doubt = "Raced because" if outcome and outcome.raced else "Doubtful"
    return [*notes, *(f"{doubt}: {reason}" for reason in (mine.reasons if mine else ()))]


def plain_rate(rate: float) -> str:
    """A round rate in few letters, such as ``1e-3``."""
    number, _, power = f"{rate:.0e}".partition("e")
    return f"{number}e{int(power)}"


def _mark_outcome(axes: "Axes", palette: Palette, line: Line, outcome: Outcome) -> None:
    at = _point(axes, palette, line, outcome.rate, "D", outcome.label)
    axes.plot([at[0], at[0]], [axes.get_ylim()[0], at[1]], color=palette.mark, linewidth=1.2, linestyle="--")
    beside(axes, palette, outcome.value, at, _height(axes, line, 1.3 * outcome.rate) > at[1])


def _mark_races(axes: "Axes", palette: Palette, line: Line, outcome: Outcome) -> None:
    for marker, label, is_diverged in (("s", "raced", False), ("x", "raced, diverged", True)):
        there = [rate for rate, came_to in outcome.raced if (came_to == "diverged") == is_diverged]
        if there:
            heights = [_height(axes, line, rate) for rate in there]
            axes.plot(
                there, heights, marker, color=palette.ink, markersize=6.5, markerfacecolor=palette.paper,
                linestyle="none", label=label, zorder=5, clip_on=False,
            )  # fmt: skip


def _point(
    axes: "Axes", palette: Palette, line: Line, rate: float, marker: str, label: str, hollow: bool = False
) -> tuple[float, float]:
    """A marker on the curve."""
    at = rate, _height(axes, line, rate)
    inside, edge = (palette.paper, palette.mark) if hollow else (palette.mark, palette.paper)
    axes.plot(
        *at, marker, markersize=8 if hollow else 11, markerfacecolor=inside, markeredgecolor=edge, markeredgewidth=1.5,
        linestyle="none", label=label, zorder=7 if not hollow else 6, clip_on=False,
    )  # fmt: skip
    return at


def _tick(axes: "Axes", palette: Palette, rates: Sequence[float]) -> None:
    """Small ticks that stand on the axis."""
    axes.plot(
        rates, [0.035] * len(rates), "|", transform=axes.get_xaxis_transform(), color=palette.ink, markersize=12,
        markeredgewidth=1.3, label="other rules", zorder=4,
    )  # fmt: skip


def _height(axes: "Axes", line: Line, rate: float) -> float:
    """Where the curve is at a rate, within the axes; at its ends beyond them."""
    rates, losses = line
    bottom, top = axes.get_ylim()
    if not rates:
        return bottom
    after = bisect_left(rates, rate)
    if after in (0, len(rates)):
        loss = losses[0 if after == 0 else -1]
    else:
        low, high = rates[after - 1], rates[after]
        share = math.log(rate / low) / math.log(high / low)
        loss = losses[after - 1] + share * (losses[after] - losses[after - 1])
    return min(max(loss, bottom), top)
