"""The tables that are printed."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lit_autotune._shared.sizes import format_size
from lit_autotune.report.console import Console
from lit_autotune.report.results import BatchSizeResult, Comparison, LearningRateResult, StepTable, TuningReport

if TYPE_CHECKING:
    from rich.table import Table

    from lit_autotune.report.estimates import Estimate

WIDE = 10_000
"""Characters of a line that is not to be folded."""


def show_report(console: Console, report: TuningReport) -> None:
    """Print the final tables: trials, suggestions, races, what was compared, what was chosen and applied."""
    if not console.verbose:
        return
    if report.batch_size:
        console.table(_trial_table(report.batch_size))
    if report.learning_rate:
        console.table(_suggestion_table(report.learning_rate))
        if report.learning_rate.races:
            console.table(_race_table(report.learning_rate))
    if report.comparison and report.comparison.values:
        console.table(_comparison_table(report.comparison))
    for table in report.tables:
        console.table(_step_table(table))
    console.table(_result_table(report))
    console.tell()
    show_kept(console, report.keep)


def show_kept(console: Console, lines: Sequence[str]) -> None:
    """Print the lines that set the values found, ready to be pasted."""
    if lines:
        console.text("To keep these values without tuning again:\n")
        for line in lines:
            console.text(f"    {line}" if line else "")
        console.text("")


def show_estimates(console: Console, estimates: Sequence["Estimate"]) -> None:
    """Print the table of estimates, how they came about, and what they do not see."""
    if not estimates:
        return
    console.table(_estimate_table(estimates))
    probes = ", ".join(f"{size} ({format_size(peak)})" for size, peak in estimates[0].probes)
    for text in (
        f"An estimate: nothing was run. Traced batch sizes, with their peaks: {probes}.",
        f"It does not see: {'; '.join(estimates[0].unseen)}.",
        "'autotune tune' on the device itself finds the size that fits.",
    ):
        console.text(text)


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings, whole lines where nobody looks at a terminal."""
    from rich.console import Console as RichConsole
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    rich = RichConsole(highlight=False, markup=False)
    rich.print(table, width=None if rich.is_terminal else WIDE)


def _new_table(title: str, columns: Sequence[str], right: Sequence[int] = ()) -> "Table":
    from rich import box
    from rich.table import Table

    # As wide as its title, which would be folded otherwise.
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold", min_width=len(title))
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i in right else "left", overflow="fold")
    return table


def _trial_table(result: BatchSizeResult) -> "Table":
    columns = ("trial", "batch size", "outcome", "peak", "samples/s", "seconds", "")
    table = _new_table("Batch-size trials", columns, right=(0, 1, 3, 4, 5))
    for number, trial in enumerate(result.trials, 1):
        mark = "chosen" if trial.batch_size == result.chosen else trial.message[:60]
        outcome = trial.outcome.replace("_", " ")
        table.add_row(
            str(number),
            f"{trial.batch_size:,}",
            outcome,
            "" if trial.peak_bytes is None else format_size(trial.peak_bytes),
            "" if trial.samples_per_second is None else f"{trial.samples_per_second:,.0f}",
            f"{trial.seconds:.2f}",
            mark,
            style="bold green" if mark == "chosen" else None if trial.fits else "red",
        )
    return table


def _estimate_table(estimates: Sequence["Estimate"]) -> "Table":
    columns = ("memory", "usable", "largest batch size", "predicted peak")
    table = _new_table("Estimated batch sizes", columns, right=range(4))
    for estimate in estimates:
        size, peak = estimate.batch_size, format_size(estimate.peak_bytes)
        table.add_row(
            format_size(estimate.memory),
            format_size(estimate.usable),
            f"{size:,}" if size else "none",
            peak if size else f"{peak} at 1",
            style=None if size else "red",
        )
    return table


def _suggestion_table(result: LearningRateResult) -> "Table":
    table = _new_table("Learning-rate suggestions", ("suggester", "learning rate", "quality", ""), right=(1,))
    for suggestion in result.suggestions:
        chosen = suggestion.suggester == result.suggester
        value = "-" if suggestion.value is None else f"{suggestion.value:.2e}"
        # Most reasons are about the curve, and the same for all rules: once is enough.
        notes = (*(["chosen"] if chosen else []), *(suggestion.reasons if chosen or suggestion.value is None else ()))
        style = None if not chosen else "bold green" if suggestion.quality == "good" else "bold yellow"
        table.add_row(suggestion.suggester, value, suggestion.quality, "\n".join(notes), style=style)
    return table


def _race_table(result: LearningRateResult) -> "Table":
    table = _new_table("Races", ("learning rate", "steps", "at the end", ""), right=(0, 1))
    best = result.races[0].learning_rate
    for heat in sorted(result.races, key=lambda heat: heat.learning_rate):
        is_best = heat.learning_rate == best
        cells = (f"{heat.learning_rate:.2e}", str(len(heat.losses)), heat.outcome, "best" if is_best else "")
        table.add_row(*cells, style="bold green" if is_best else None)
    return table


def _comparison_table(result: Comparison) -> "Table":
    columns = ("", "batch size", "learning rate", "steps per epoch", "seconds per epoch", "loss", "")
    share = "" if result.share is None else f" of {result.share:.0%} of the training"
    title = f"Comparison: previews{share}, scored on {result.judge}"
    table = _new_table(title, columns, right=range(1, 6))
    for values in result.values:
        is_applied = values.name == result.applied
        table.add_row(
            values.name,
            _or_dash(values.batch_size, ",d"),
            _or_dash(values.learning_rate, ".2e"),
            _or_dash(values.steps_per_epoch, ",d"),
            _or_dash(values.seconds_per_epoch, ".2f"),
            f"{values.loss:.4g}" if math.isfinite(values.loss) else "diverged",
            ", ".join([*([values.verdict] if values.verdict else []), *(["applied"] if is_applied else [])]),
            style="bold green" if is_applied else None,
        )
    return table


def _step_table(result: StepTable) -> "Table":
    numbers = [i for i in range(len(result.columns)) if all(not isinstance(row[i], str) for row in result.rows)]
    table = _new_table(f"{result.step}: {result.title}", result.columns, right=numbers)
    for row in result.rows:
        table.add_row(*("-" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row))
    return table


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _result_table(report: TuningReport) -> "Table":
    title = f"Result, after {report.seconds:.1f} s"
    table = _new_table(
        title if report.reused is None else f"{title}, of an earlier tuning",
        ("", "old", "new", "written to"),
        right=(1, 2),
    )
    if size := report.batch_size:
        old = _or_dash(size.old, ",d")
        table.add_row("batch size", old, f"{size.chosen:,}", ", ".join(size.places))
    if rate := report.learning_rate:
        old = "-" if rate.old is None else f"{rate.old:.2e}"
        where = ", ".join(rate.places) if rate.applied else f"nowhere ({_why_not(report, rate)})"
        table.add_row("max_lr" if rate.kind == "max_lr" else "learning rate", old, f"{rate.chosen:.2e}", where)
    for one in report.others:
        name = one.places[0].rpartition(".")[2]
        table.add_row(name, "-" if one.old is None else str(one.old), str(one.chosen), ", ".join(one.places))
    return table


def _why_not(report: TuningReport, rate: LearningRateResult) -> str:
    if rate.chosen != rate.suggested:
        return "the old one stays"
    return "set it by hand" if report.config.update_model_lr else "update_model_lr is off"
