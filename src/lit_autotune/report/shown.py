"""How records show themselves: in a notebook, at a prompt, as pictures, as a page."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lit_autotune._shared.figures import PlotStyle
from lit_autotune._shared.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lit_autotune.report.results import TuningReport


class Shown(Record):
    """A record that a notebook shows with its tables and plots."""

    def _repr_html_(self) -> str:
        from lit_autotune.report.notebook import show

        return show(self)


class ShownReport(Shown):
    """What :class:`~lit_autotune.TuningReport` can show of itself."""

    def plots(self, style: PlotStyle | None = None) -> dict[str, "Figure"]:
        """Both plots by the names of their steps, as far as these have run; for a logger or a page of one's own.

        Args:
            style: Colours for a light or a dark page; by default those of the settings.
        """
        report = cast("TuningReport", self)
        style, plots = style or report.config.plot_style, {}
        if report.batch_size and report.batch_size.trials:
            plots["batch_size"] = report.batch_size.plot(style)
        if report.learning_rate:
            plots["learning_rate"] = report.learning_rate.plot(style, report.config.lr_plot_rules)
        return plots

    def to_html(
        self,
        path: str | PathLike[str] | None = None,
        *,
        sources: Mapping[str, str] | None = None,
        command: str | None = None,
    ) -> str:
        """The report as one web page that needs no network and no script, for people who were not there.

        Args:
            path: A file to write it to, too.
            sources: For each setting where it comes from, as far as that is known.
            command: The command that made the report, if one did.

        Returns:
            The page.

        Raises:
            OSError: If the file cannot be written.
        """
        from lit_autotune.report.page import render_page

        page = render_page(cast("TuningReport", self), sources, command)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from lit_autotune.report.notebook import in_words

        printer.text(in_words(cast("TuningReport", self)))
