"""The tables and the plot of ``docs/outcome.md``."""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import interval
from benchmarks.outcome.measure import VARIANTS, Key
from benchmarks.outcome.scores import Outcome, outcomes
from benchmarks.outcome.tasks import Task

DOCS = Path(__file__).parents[2] / "docs"
START, END = "<!-- tables -->", "<!-- end of tables -->"
COST, SHARE = 10.0, 0.05
"""What a tuning may cost: so many seconds, or this share of the training."""

COLORS = {"better": "#2166ac", "same": "#cfcfcf", "worse": "#d6604d"}


def outcome_table(done: dict[Key, Any], tasks: Iterable[Task]) -> list[str]:
    """A row for each variant, sensible and bad defaults apart."""
    lines = [
        "| tuned by | defaults | runs | better / same / worse, % | worse, 95 % interval | by score "
        "| at the same wall time | loss, mean log-ratio | worst | training time | steps "
        "| tuning, s (mean, most) |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    all_of_them = list(outcomes(done, tasks))
    for is_sensible in (True, False):
        for variant in VARIANTS:
            given = [one for one in all_of_them if (one.variant, one.is_sensible) == (variant, is_sensible)]
            if given:
                lines.append(_row(variant, "sensible" if is_sensible else "bad", given))
    return lines


def _row(variant: str, defaults: str, given: Sequence[Outcome]) -> str:
    worse = interval(given, lambda one: one.verdict == "worse")
    ratio = interval(given, lambda one: one.log_ratio)
    timed = [one.by_time for one in given if one.by_time]
    failed = sum(one.failed for one in given)
    cells = (
        f"**{variant}**" if variant == "default" else variant,
        defaults,
        f"{len(given)}" + (f", {failed} failed" if failed else ""),
        f"**{_shares([one.verdict for one in given])}**",
        f"{worse[1]:.0%} to {worse[2]:.0%}",
        _shares([one.by_score for one in given if one.by_score]),
        _shares(timed) if timed else "",
        f"{ratio[0]:+.2f} ({ratio[1]:+.2f} to {ratio[2]:+.2f})",
        f"{math.exp(max(one.log_ratio for one in given)):.2f}",
        f"{np.mean([one.time for one in given]):.2f}",
        f"{np.mean([one.steps for one in given]):.2f}",
        f"{np.mean([one.cost for one in given]):.1f}, {max(one.cost for one in given):.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _shares(verdicts: Sequence[str | None]) -> str:
    return " / ".join(f"{100 * verdicts.count(kind) / max(len(verdicts), 1):.0f}" for kind in COLORS)


def task_table(done: dict[Key, Any], tasks: Iterable[Task]) -> list[str]:
    """What the default settings did to each task."""
    lines = [
        "| task | before | after, by seed | validation loss, tuned over untouched | verdicts | tuning / training, s |",
        "|---|---|---|---|---|---|",
    ]
    given = [one for one in outcomes(done, tasks) if one.variant == "default"]
    for task, size, rate in dict.fromkeys((one.task, *one.values[:2]) for one in given):
        own = [one for one in given if (one.task, *one.values[:2]) == (task, size, rate)]
        after = "; ".join(f"{one.values[2]}, {one.values[3]:.1e}" for one in own)
        ratios = ", ".join(f"{math.exp(one.log_ratio):.2f}" for one in own)
        verdicts = ", ".join(one.verdict for one in own)
        cost, seconds = (np.mean([getattr(one, name) for one in own]) for name in ("cost", "untouched_seconds"))
        lines.append(f"| {task} | {size}, {rate:.0e} | {after} | {ratios} | {verdicts} | {cost:.1f} / {seconds:.1f} |")
    return lines


def cost_line(done: dict[Key, Any], tasks: Iterable[Task]) -> str:
    """How many tunings cost more than they may."""
    given = [one for one in outcomes(done, tasks) if one.variant == "default"]
    dear = [one for one in given if one.cost > max(COST, SHARE * one.untouched_seconds)]
    most = max(one.cost for one in given)
    return (
        f"Of {len(given)} tunings at default settings {len(dear)} took more than {COST:.0f} seconds and more than "
        f"{SHARE:.0%} of the training; the longest took {most:.1f} seconds, the mean is "
        f"{np.mean([one.cost for one in given]):.1f}. The untouched trainings take "
        f"{np.mean([one.untouched_seconds for one in given]):.1f} seconds in the mean."
    )


def write(done: dict[Key, Any], tasks: Sequence[Task]) -> None:
    """Renew the page's tables and its plot."""
    parts = [outcome_table(done, tasks), [cost_line(done, tasks)], ["### Task by task"], task_table(done, tasks)]
    page = DOCS / "outcome.md"
    block = "\n\n".join("\n".join(part) for part in parts)
    page.write_text(re.sub(f"{START}.*?{END}", lambda _: f"{START}\n\n{block}\n\n{END}", page.read_text(), flags=re.S))
    draw(list(outcomes(done, tasks)), DOCS / "outcome.png")


def draw(given: Sequence[Outcome], path: Path) -> None:
    """Bars of better, same and worse for each variant."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, is_sensible in zip(panels, (True, False), strict=True):
        for row, variant in enumerate(reversed(VARIANTS)):
            verdicts = [one.verdict for one in given if (one.variant, one.is_sensible) == (variant, is_sensible)]
            if not verdicts:
                axes.text(1, row, "not run", va="center", fontsize=8, color="#7f7f7f")
            left = 0.0
            for kind, color in COLORS.items():
                share = 100 * verdicts.count(kind) / len(verdicts) if verdicts else 0
                axes.barh(row, share, left=left, color=color, label=kind if row == 0 else None)
                if share >= 8:
                    ink = "black" if kind == "same" else "white"
                    axes.text(left + share / 2, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color=ink)
                left += share
        axes.set_title(f"from {'sensible' if is_sensible else 'bad'} defaults", loc="left", fontsize=10)
        axes.set_xlabel("% of trainings")
        axes.set_xlim(0, 100)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(VARIANTS)), [f"{name}" for name in reversed(VARIANTS)], fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(
        "Final validation loss after tuning, against the untouched training of the same epochs",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)
