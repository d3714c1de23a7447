"""The plot of a batch-size search: memory and throughput against the batch size."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune._shared.figures import PALETTES, Palette, PlotStyle, arrange, beside, frame, new_figure
from lit_autotune._shared.sizes import format_size
from lit_autotune.types import BatchSizeTrial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEFAULT_PATH = Path(".logs/batch_size_plot.png")
MIB, GIB = 2**20, 2**30
APART = 0.9
GRAIN = 0.02
"""Share of the highest peak that memory must grow by to be drawn as a line."""
FAR = 2.0
"""How many times the highest peak a budget may be, to be drawn in its place."""
SPREAD = 8
"""Sizes that differ by more are drawn on a logarithmic axis."""

OUTCOMES = {
    "fits": ("o", "fits"),
    "over_budget": ("^", "over the budget"),
    "out_of_memory": ("X", "out of memory"),
    "cannot_be_used": ("s", "cannot be used"),
    "too_little_data": ("v", "too little data"),
}
"""Marker and words of each outcome: shapes, so that they can be told apart without colour."""


def plot_batch_sizes(
    trials: Sequence[BatchSizeTrial], budget: int | None, chosen: int, style: PlotStyle = "light"
) -> "Figure":
    """Draw peak memory and throughput of every trial, the budget, and the chosen size.

    Args:
        trials: All trials of a search, at least one.
        budget: Memory that they were allowed, in bytes; ``None`` if there was no limit.
        chosen: The batch size that is marked.
        style: Colours for a light or a dark page.

    Returns:
        A figure that belongs to no window and no global state. It has a panel for what was measured.
    """
    figure = new_figure(style)
    palette = PALETTES[style]
    panels: list[tuple[Axes, float]] = []
    notes: list[str] = []
    if any(trial.peak_bytes for trial in trials):
        panels.append((figure.add_subplot(), 2.7))
        notes = _draw_memory(panels[0][0], palette, trials, budget, chosen)
    if any(trial.samples_per_second for trial in trials) or not panels:
        above = panels[0][0] if panels else None
        panels.append((figure.add_subplot(sharex=above), 1.7))
        _draw_throughput(panels[-1][0], palette, trials, chosen)
    if len(panels) > 1:
        panels[0][0].set_xlabel("")
        panels[0][0].tick_params(labelbottom=False)
    arrange(figure, palette, "Batch-size trials", panels, notes)
    return figure


def _draw_memory(
    axes: "Axes", palette: Palette, trials: Sequence[BatchSizeTrial], budget: int | None, chosen: int
) -> list[str]:
    """The panel of memory; returns what has to be said below it."""
    peaks = [trial.peak_bytes for trial in trials if trial.peak_bytes]
    unit, name = (GIB, "GiB") if max(peaks) >= 10 * GIB else (MIB, "MiB")
    near = budget is not None and budget <= FAR * max(peaks)
    shown = [peak / unit for peak in [*peaks, *([budget] if budget is not None and near else [])]]
    # An axis from 0 hides the growth where the process holds much before the first sample.
    low, high = (0.0 if min(shown) < 0.5 * max(shown) else min(shown)), max(shown)
    room = max(high - low, 0.1 * high)
    if low:  # little growth lies in the middle, and still looks like little
        low -= (room - (high - low)) / 2
    bottom, top = (0.0 if low == 0 else low - 0.12 * room), low + 1.14 * room
    axes.set_ylim(bottom, top)
    _scale_sizes(axes, trials)
    frame(axes, palette, "batch size", f"peak memory, {name}")
    _draw_line(axes, palette, trials, unit)
    notes = []
    if budget is not None and near:
        label = f"budget: {format_size(budget)}"
        axes.axhline(budget / unit, color=palette.ink, linewidth=1.3, linestyle="--", label=label)
    elif budget is not None:
        times = budget / max(peaks)
        notes = [f"Budget: {format_size(budget)}, {times:,.3g} times the highest peak, beyond this axis"]
    known = [(trial, trial.peak_bytes / unit) for trial in trials if trial.peak_bytes]
    # What a trial that ended early would have taken is not known: at the top, clear of all peaks.
    unknown = [(trial, top) for trial in trials if not trial.peak_bytes and not trial.fits]
    _draw_points(axes, palette, [*known, *unknown], chosen, name)
    return notes


def _draw_throughput(axes: "Axes", palette: Palette, trials: Sequence[BatchSizeTrial], chosen: int) -> None:
    points = [(trial, speed) for trial in trials if (speed := trial.samples_per_second)]
    frame(axes, palette, "batch size", "samples/s")
    _scale_sizes(axes, trials)
    best = max((speed for trial, speed in points if trial.fits), default=None)
    axes.set_ylim(0, 1.25 * max((speed for _, speed in points), default=1.0))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}")
    if best is not None:
        axes.axhspan(0.95 * best, best, color=palette.data, alpha=0.18, linewidth=0, label="within 5 % of the fastest")
    line = sorted((trial.batch_size, speed) for trial, speed in points if trial.fits)
    axes.plot([size for size, _ in line], [speed for _, speed in line], color=palette.data, linewidth=1.3, alpha=0.6)
    _draw_points(axes, palette, points, chosen, "samples/s")


def _draw_points(
    axes: "Axes", palette: Palette, points: Sequence[tuple[BatchSizeTrial, float]], chosen: int, unit: str
) -> None:
    """A marker for each trial, and a larger one with its value for the chosen size."""
    for outcome, (marker, label) in OUTCOMES.items():
        there = [(trial.batch_size, height) for trial, height in points if trial.outcome == outcome]
        color = palette.data if outcome == "fits" else palette.danger
        # An X is drawn full: hollow it looks like a flower.
        inside = palette.paper if outcome in ("over_budget", "cannot_be_used", "too_little_data") else color
        if there:
            axes.plot(
                *zip(*there, strict=True), marker, color=color, markersize=6.5, markerfacecolor=inside,
                markeredgewidth=1.5, clip_on=False, label=label, zorder=5,
            )  # fmt: skip
    axes.axvline(chosen, color=palette.mark, linewidth=1.2, linestyle=":", zorder=2)
    height = next((height for trial, height in points if trial.batch_size == chosen), None)
    if height is None:
        return
    axes.plot(
        chosen, height, "D", markersize=11, markerfacecolor=palette.mark, markeredgecolor=palette.paper,
        markeredgewidth=1.5, linestyle="none", label=f"chosen: {chosen:,}", zorder=7, clip_on=False,
    )  # fmt: skip
    beside(axes, palette, f"{height:,.0f} {unit}", (chosen, height), rising=True)


def _draw_line(axes: "Axes", palette: Palette, trials: Sequence[BatchSizeTrial], unit: int) -> None:
    """The line that memory follows at the largest sizes, if it has grown."""
    points = sorted((trial.batch_size, trial.peak_bytes) for trial in trials if trial.peak_bytes)
    kept = points[-1:]
    for point in reversed(points):
        # Closer ones, or such as differ by less: their noise would turn the line.
        if point[0] <= APART * kept[-1][0] and kept[-1][1] - point[1] > GRAIN * points[-1][1]:
            kept.append(point)
            break
    if len(kept) < 2:
        return
    (size, peak), (smaller, less) = kept
    slope = (peak - less) / (size - smaller)
    largest = max(trial.batch_size for trial in trials)
    sizes = [points[0][0] + (largest - points[0][0]) * i / 60 for i in range(61)]
    heights = [(peak + slope * (at - size)) / unit for at in sizes]
    axes.plot(sizes, heights, color=palette.data, linewidth=1.3, alpha=0.6, label="line of memory")


def _scale_sizes(axes: "Axes", trials: Sequence[BatchSizeTrial]) -> None:
    """An axis that has all sizes; logarithmic, with powers of two, where they differ much."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    sizes = [trial.batch_size for trial in trials]
    low, high = min(sizes), max(sizes)
    if high >= SPREAD * low:
        axes.set_xscale("log", base=2)
        octaves = math.log2(high / low)
        axes.set_xlim(low / 2 ** (0.04 * octaves), high * 2 ** (0.06 * octaves))
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=14))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        room = max(high - low, 20)
        axes.set_xlim(low - 0.06 * room, high + 0.08 * room)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,g}"))
