"""The plot of an LR range test."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune._shared.figures import PALETTES, Palette, PlotStyle, arrange, frame, new_figure
from lit_autotune.curves.formulas import smooth
from lit_autotune.curves.marks import Outcome, mark_rates, plain_rate
from lit_autotune.curves.points import Curve, LRSuggestion
from lit_autotune.curves.quality import has_moved
from lit_autotune.curves.readings import typical_jump

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEFAULT_PATH = Path(".logs/lr_finder_plot.png")
HEIGHT = 3.7
LETTERS = 106
"""Of a line below the axes."""


def plot_lr_curve(
    curve: Curve,
    suggestions: Sequence[LRSuggestion],
    chosen: str,
    outcome: Outcome | None = None,
    *,
    style: PlotStyle = "light",
    rules: bool = True,
) -> "Figure":
    """Draw raw losses, the smoothed curve, the band of several sweeps, and the rate that was chosen.

    Args:
        curve: What the range test measured.
        suggestions: All suggesters' answers.
        chosen: Name of the suggester whose answer is marked.
        outcome: The rate that the training gets, and what verified it; by default that answer is all there is.
        style: Colours for a light or a dark page.
        rules: Show the answers of the other rules.

    Returns:
        A figure that belongs to no window and no global state.
    """
    figure = new_figure(style)
    axes = figure.add_subplot()
    palette = PALETTES[style]
    notes = _draw(axes, palette, curve, suggestions, chosen, outcome, rules)
    lines = [line for note in notes for line in textwrap.wrap(note, LETTERS, subsequent_indent="   ")]
    arrange(figure, palette, "LR range test", [(axes, HEIGHT)], lines)
    return figure


def draw_lr_curve(axes: "Axes", curve: Curve, suggestions: Sequence[LRSuggestion], chosen: str) -> None:
    """Draw on given axes what :func:`plot_lr_curve` draws on a figure of its own, in light colours."""
    notes = _draw(axes, PALETTES["light"], curve, suggestions, chosen, None, True)
    axes.set_title("LR range test", loc="left", fontweight="bold")
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
    lines = [line for note in notes for line in textwrap.wrap(note, LETTERS, subsequent_indent="   ")]
    if lines:
        axes.text(0, -0.16, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8)


def _draw(
    axes: "Axes",
    palette: Palette,
    curve: Curve,
    suggestions: Sequence[LRSuggestion],
    chosen: str,
    outcome: Outcome | None,
    rules: bool,
) -> list[str]:
    """Draw all that is inside the axes; returns what has to be said below them."""
    rates, losses = curve.finite()
    smoothed = smooth(losses) if losses else []
    kind = f"loss ({curve.monitor})" if curve.monitor else "training loss"
    median = ", median" if curve.repeats else ""
    axes.plot(
        rates, losses, "o", color=palette.data, alpha=0.5, markersize=3.4, markeredgewidth=0,
        label=f"{kind} of each step{median}",
    )  # fmt: skip
    _draw_band(axes, palette, curve)
    axes.plot(rates, smoothed, color=palette.data, linewidth=2, label="smoothed")
    _scale_rates(axes, (*curve.learning_rates, *(outcome.rates if outcome else ())))
    _limit_losses(axes, losses, smoothed)
    start = _divergence(rates, smoothed) if smoothed and has_moved(curve) else None
    if start is not None:
        zone = start, max(axes.get_xlim()[1], start)
        # Lines on top of a shade: as one thing they come out alike in a PNG only.
        axes.axvspan(*zone, color=palette.danger, alpha=0.13, linewidth=0, label="diverging")
        axes.axvspan(*zone, facecolor="none", edgecolor=palette.danger, alpha=0.3, hatch="///", linewidth=0)
    if not rates:
        axes.text(0.5, 0.5, "no loss was measured", transform=axes.transAxes, ha="center", color=palette.muted)
        axes.set(xticks=[], yticks=[])
    frame(axes, palette, "learning rate", kind)
    return mark_rates(axes, palette, (rates, smoothed), suggestions, chosen, outcome, rules, start)


def _scale_rates(axes: "Axes", rates: Sequence[float]) -> None:
    """A logarithmic axis from the lowest to the highest rate, with a label at each power of ten, or each second."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    if not rates:
        return
    low, high = min(rates), max(rates)
    axes.set_xlim(low, high if high > low else 10 * low)
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(LogLocator(numticks=13) if decades > 1.5 else LogLocator(subs=(1.0, 2.0, 5.0)))
    # Plain text, and no ticks in between: matplotlib takes a third of the time for formulas such as 10^-3.
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: plain_rate(rate)))


def _draw_band(axes: "Axes", palette: Palette, curve: Curve) -> None:
    """Shade from the lowest to the highest loss of several sweeps at each rate."""
    rates, lowest, highest = [], [], []
    for step, rate in enumerate(curve.learning_rates):
        there = [losses[step] for losses in curve.repeats if step < len(losses) and math.isfinite(losses[step])]
        if there:
            rates.append(rate)
            lowest.append(min(there))
            highest.append(max(there))
    if rates:
        axes.fill_between(rates, lowest, highest, color=palette.data, alpha=0.2, linewidth=0, label="all sweeps")


def _limit_losses(axes: "Axes", losses: Sequence[float], smoothed: Sequence[float]) -> None:
    """Cut the explosion off: it says nothing but that there is one, and flattens all the rest."""
    if not smoothed:
        return
    low = min(smoothed)
    start = smoothed[0]
    height = max(start - low, 4 * typical_jump(losses), 0.05 * abs(start), math.ulp(1.0))
    until = smoothed.index(low)
    top = max([*smoothed[: until + 1], start]) + 0.6 * height
    axes.set_ylim(low - 0.2 * height, min(top, max(smoothed) + 0.2 * height))


def _divergence(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """The first rate beyond the minimum where half of the fall is lost again; ``None`` if there is none."""
    low = min(smoothed)
    until = smoothed.index(low)
    half = (smoothed[0] + low) / 2
    return next((rate for rate, loss in zip(rates[until:], smoothed[until:], strict=True) if loss > half), None)
