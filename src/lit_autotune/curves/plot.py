"""The plot of an LR range test."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune._shared.figures import BLUE, GREY, RED, frame, new_figure
from lit_autotune.curves.formulas import smooth
from lit_autotune.curves.points import Curve, LRSuggestion
from lit_autotune.curves.quality import has_moved
from lit_autotune.curves.readings import typical_jump

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEFAULT_PATH = Path(".logs/lr_finder_plot.png")


def plot_lr_curve(
    curve: Curve, suggestions: Sequence[LRSuggestion], chosen: str, raced: float | None = None
) -> "Figure":
    """Draw raw losses, the smoothed curve, the band of several sweeps, and every suggestion.

    Args:
        curve: What the range test measured.
        suggestions: All suggesters' answers.
        chosen: Name of the suggester whose answer is marked.
        raced: The rate that races around it ended with, if there were any.

    Returns:
        A figure that belongs to no window and no global state.
    """
    figure = new_figure()
    draw_lr_curve(figure.add_subplot(), curve, suggestions, chosen, raced)
    return figure


def draw_lr_curve(
    axes: "Axes", curve: Curve, suggestions: Sequence[LRSuggestion], chosen: str, raced: float | None = None
) -> None:
    """Draw on given axes what :func:`plot_lr_curve` draws on a figure of its own."""
    rates, losses = curve.finite()
    smoothed = smooth(losses) if losses else []
    kind = f"loss ({curve.monitor})" if curve.monitor else "training loss"
    median = ", median" if curve.repeats else ""
    axes.plot(rates, losses, ".", color=BLUE, alpha=0.35, markersize=5, label=f"{kind} of each step{median}")
    _draw_band(axes, curve)
    axes.plot(rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    axes.set_xscale("log")
    shown = (*curve.learning_rates, *([] if raced is None else [raced]))
    if shown:
        axes.set_xlim(min(shown), max(shown))
    _limit_losses(axes, losses, smoothed)
    if smoothed and has_moved(curve):
        _mark_divergence(axes, rates, smoothed)
    others = [(other.value, other.suggester) for other in suggestions if other.value and other.suggester != chosen]
    for i, (value, name) in enumerate(sorted(others)):
        axes.axvline(value, color=GREY, linewidth=1, linestyle=":")
        # Neighbours at different heights: the rules' answers often lie close together.
        _label(axes, f"{name} {value:.1e}", value, 0.02 + 0.25 * (i % 3))
    for suggestion in suggestions:
        if suggestion.value is not None and suggestion.suggester == chosen:
            axes.axvline(suggestion.value, color=RED, linewidth=1.8)
            doubt = "" if suggestion.quality == "good" else ", doubtful"
            axes.plot([], [], color=RED, linewidth=1.8, label=f"suggestion ({chosen}): {suggestion.value:.2e}{doubt}")
    if raced is not None:
        axes.axvline(raced, color=RED, linewidth=1.8, linestyle="--", label=f"after the races: {raced:.2e}")
    _explain_doubt(
        axes, [reason for suggestion in suggestions if suggestion.suggester == chosen for reason in suggestion.reasons]
    )
    frame(axes, "LR range test", "learning rate", kind)


def _draw_band(axes: "Axes", curve: Curve) -> None:
    """Shade from the lowest to the highest loss of several sweeps at each rate."""
    rates, lowest, highest = [], [], []
    for step, rate in enumerate(curve.learning_rates):
        there = [losses[step] for losses in curve.repeats if step < len(losses) and math.isfinite(losses[step])]
        if there:
            rates.append(rate)
            lowest.append(min(there))
            highest.append(max(there))
    if rates:
        axes.fill_between(rates, lowest, highest, color=BLUE, alpha=0.15, linewidth=0, label="all sweeps")


def _limit_losses(axes: "Axes", losses: Sequence[float], smoothed: Sequence[float]) -> None:
    """Cut the explosion off: it says nothing but that there is one, and flattens all the rest."""
    if not smoothed:
        return
    low = min(smoothed)
    start = smoothed[0]
    height = max(start - low, 2 * typical_jump(losses), 0.05 * abs(start), math.ulp(1.0))
    until = smoothed.index(low)
    top = max([*smoothed[: until + 1], start]) + 0.6 * height
    axes.set_ylim(low - 0.15 * height, min(top, max(smoothed) + 0.15 * height))


def _mark_divergence(axes: "Axes", rates: Sequence[float], smoothed: Sequence[float]) -> None:
    """Shade the rates beyond the minimum from where half of the fall is lost again."""
    if not smoothed:
        return
    low = min(smoothed)
    until = smoothed.index(low)
    half = (smoothed[0] + low) / 2
    beyond = [rate for rate, loss in zip(rates[until:], smoothed[until:], strict=True) if loss > half]
    if beyond:
        axes.axvspan(beyond[0], axes.get_xlim()[1], color=RED, alpha=0.08, linewidth=0, label="diverging")


def _explain_doubt(axes: "Axes", reasons: Sequence[str]) -> None:
    """Say below the axes why the suggestion is doubtful."""
    lines = [
        line for reason in reasons for line in textwrap.wrap(reason, 110, initial_indent="- ", subsequent_indent="  ")
    ]
    if lines:
        axes.text(0, -0.16, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8, color=RED)


def _label(axes: "Axes", text: str, rate: float, height: float) -> None:
    axes.annotate(
        text,
        (rate, height),
        xycoords=("data", "axes fraction"),
        rotation=90,
        fontsize=8,
        color=GREY,
        ha="right",
        va="bottom",
    )
