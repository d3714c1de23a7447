"""The plot of memory against batch size."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune._shared.figures import BLUE, GREY, RED, frame, new_figure
from lit_autotune.search.memory_line import MemoryModel
from lit_autotune.types import BatchSizeTrial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_PATH = Path(".logs/batch_size_plot.png")
MIB = 2**20
APART = 0.9


def plot_memory(trials: Sequence[BatchSizeTrial], budget: int | None, chosen: int) -> "Figure":
    """Draw the peak of every trial, the line of memory, the budget, and the chosen size.

    Args:
        trials: All trials of a search.
        budget: Memory that they were allowed, in bytes; ``None`` if there was no limit.
        chosen: The batch size that is marked.

    Returns:
        A figure that belongs to no window and no global state.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    measured = [(trial.batch_size, trial.peak_bytes / MIB, trial.fits) for trial in trials if trial.peak_bytes]
    ends = {"out_of_memory": RED, "cannot_be_used": GREY}
    model = MemoryModel.of(trials, budget)
    end = 1.1 * max(trial.batch_size for trial in trials)
    if model and (line := replace(model, points=_apart(model.points)).line):
        start, slope = line
        rest = (start / MIB, (start + slope * end) / MIB)
        axes.plot([0, end], rest, color=BLUE, linewidth=1.5, alpha=0.6, label="line of memory")
    for fits, color, label in ((True, BLUE, "fits"), (False, RED, "over the budget")):
        points = [(size, peak) for size, peak, fitted in measured if fitted == fits]
        if points:
            axes.plot(*zip(*points, strict=True), "o", color=color, markersize=6, label=label)
    if budget is not None:
        axes.axhline(budget / MIB, color=GREY, linewidth=1.2, linestyle="--", label=f"budget: {budget / MIB:,.0f} MiB")
    axes.axvline(chosen, color=RED, linewidth=1.8, label=f"chosen: {chosen}")
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1.12 * max([peak for _, peak, _ in measured] + [(budget or 0) / MIB]))
    for outcome, color in ends.items():
        if failed := [trial.batch_size for trial in trials if trial.outcome == outcome]:
            # What such a trial would have taken is not known: at the top, clear of all peaks.
            label = outcome.replace("_", " ")
            axes.plot(failed, [axes.get_ylim()[1]] * len(failed), "x", color=color, clip_on=False, label=label)
    frame(axes, "Batch-size trials", "batch size", "peak memory, MiB")
    return figure


def _apart(points: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """The last point, and those before it whose sizes are a tenth apart: noise of closer ones would turn the line."""
    kept = [points[-1]]
    for point in reversed(points):
        if point[0] <= APART * kept[-1][0]:
            kept.append(point)
    return tuple(reversed(kept))
