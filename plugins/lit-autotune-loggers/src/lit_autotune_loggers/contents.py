"""What of a report goes to a logger: values, tables, pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lit_autotune import TuningReport

RASTER = (".png", ".jpg", ".jpeg")
"""Files that all loggers can show."""


class Table(NamedTuple):
    """A table with a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return f"### {self.title}\n\n" + "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def values(report: "TuningReport") -> dict[str, float]:
    """The values that the training gets, as numbers."""
    found: dict[str, float] = {}
    if report.batch_size:
        found["autotune/batch_size"] = report.batch_size.chosen
    if report.learning_rate and report.learning_rate.applied:
        found["autotune/learning_rate"] = report.learning_rate.chosen
    for one in report.applied:
        if isinstance(one.chosen, int | float):
            found[f"autotune/{one.places[0].rpartition('.')[2]}"] = one.chosen
    return {**found, "autotune/seconds": report.seconds} if found else {}


def tables(report: "TuningReport") -> list[Table]:
    """What was applied, tried and suggested, and the tables of steps."""
    applied = [[", ".join(one.places), one.old, one.chosen] for one in report.others]
    if rate := report.learning_rate:
        applied.insert(0, [", ".join(rate.places) or "learning rate", rate.old, rate.chosen])
    if size := report.batch_size:
        applied.insert(0, [", ".join(size.places), size.old, size.chosen])
    found = [Table("Result", ("value", "old", "new"), applied)] if applied else []
    if size:
        rows = [[one.batch_size, one.outcome, one.peak_bytes, one.samples_per_second] for one in size.trials]
        found.append(Table("Batch-size trials", ("batch size", "outcome", "peak, bytes", "samples/s"), rows))
    if rate:
        suggested = [[one.suggester, one.value, one.quality] for one in rate.suggestions]
        found.append(Table("Learning-rate suggestions", ("suggester", "learning rate", "quality"), suggested))
    return found + [Table(f"{one.step}: {one.title}", one.columns, one.rows) for one in report.tables]


def pictures(report: "TuningReport", folder: Path) -> Iterator[tuple[str, Path]]:
    """All plots, by name, as files: those that the tuning has saved, or made anew.

    None has the name of a value: Weights & Biases would show it in its place.

    Args:
        report: The report.
        folder: Where to put those that were not saved.
    """
    if size := report.batch_size:
        yield from _saved("batch_size_trials", size.plot_path)
    if rate := report.learning_rate:
        saved = list(_saved("range_test", rate.plot_path))
        if not saved:
            chosen = next((one for one in rate.suggestions if one.suggester == rate.suggester), None)
            saved = [("range_test", folder / "range_test.png")]
            rate.curve.plot(chosen).savefig(saved[0][1], dpi=150)
        yield from saved
    for number, one in enumerate(report.figures):
        name = f"{one.step}_{number + 1}"
        saved = list(_saved(name, one.path))
        if not saved:
            saved = [(name, folder / f"{name}.svg")]
            saved[0][1].write_text(one.svg, encoding="utf-8")
        yield from saved


def _saved(name: str, path: Path | None) -> Iterator[tuple[str, Path]]:
    if path is not None and path.suffix in RASTER and path.is_file():
        yield name, path


def _cell(value: object) -> str:
    text = "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")
