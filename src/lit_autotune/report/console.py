"""What a user sees while tuning: rich in a terminal or notebook, plain lines in a log file, nothing if not verbose."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lit_autotune._shared.text import Wording
from lit_autotune.report.bars import Bar, LineBar, terminal_bar

if TYPE_CHECKING:
    from rich.table import Table


LOG_WIDTH = 110

NOTEBOOK_WIDTH = 90
"""Notebooks break longer lines amid words, and JupyterLab beside its sidebar has room for fewer than a hundred."""


class Console:
    """Prints to standard output. Used as a context, it tells at the end what it has to warn of.

    Args:
        verbose: Print at all.
        debug: Print details, too.
        wording: Who speaks, and in which words.
    """

    def __init__(self, verbose: bool = True, debug: bool = False, wording: Wording | None = None):
        from rich.console import Console as RichConsole

        self.verbose, self._debug, self.wording = verbose, debug, wording or Wording()
        looks: dict[str, Any] = {"highlight": False, "markup": False, "quiet": not verbose}
        self._rich = RichConsole(**looks)
        self._in_notebook = self._rich.is_jupyter
        if self._in_notebook:  # where rich makes an output of each line; what goes to standard output is one
            self._rich = RichConsole(
                **looks, force_jupyter=False, force_terminal=True, color_system="standard", width=NOTEBOOK_WIDTH
            )
        self._bar = Bar()
        self.warnings: list[str] = []
        self._untold: list[str] = []

    def line(self, text: str, style: str | None = None) -> None:
        """Print one line in the form of the guide."""
        from rich.text import Text

        prefix = f"[{self.wording.speaker}] "
        said = self._encodable(self.wording(text))
        self._bar.clear()
        self._rich.print(Text.assemble((prefix, "dim"), (said, style or "")), soft_wrap=self._keeps_lines)

    @property
    def _keeps_lines(self) -> bool:
        """Whether long lines stay whole: a log is searched line by line; a screen would break them within words."""
        return not self._rich.is_terminal

    def text(self, text: str) -> None:
        """Print a sentence as it is, without the guide's prefix."""
        self._rich.print(text, soft_wrap=self._keeps_lines or text.startswith(" "))  # lines to paste stay whole

    def banner(self, title: str) -> None:
        """Print a title between two rules."""
        width = 60 if self._keeps_lines else min(60, self._rich.width - len(f"[{self.wording.speaker}] "))
        for text in ("=" * width, title, "=" * width):
            self.line(text, "bold cyan")

    def debug(self, text: str) -> None:
        """Print a detail, if details are wanted."""
        if self._debug:
            self.line(text, "dim")

    def warn(self, text: str) -> None:
        """Warn the user, once: by :meth:`tell`; at once by ``warnings.warn`` if nothing may be printed."""
        text = self.wording(text)
        if text in self.warnings:
            return
        self.warnings.append(text)
        if self.verbose:
            self._untold.append(text)
        else:
            warnings.warn(text, stacklevel=2)

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *error: object) -> None:
        self.tell()

    def tell(self) -> None:
        """Print the warnings that were not yet, where they are seen: at the end, not amid the trials."""
        for text in self._untold:
            self.line(f"⚠ {text}", "yellow")
        self._untold.clear()

    @contextlib.contextmanager
    def progress(self, description: str, total: int, unit: str = "steps", is_bound: bool = False) -> Iterator[Bar]:
        """Show a live bar in a terminal or a notebook.

        Args:
            description: What is being done.
            total: How many there are.
            unit: Of what.
            is_bound: Whether there may be fewer.

        Yields:
            What moves it: called when one is finished, with a note of what came of it.
        """
        if self._in_notebook and self.verbose:
            self._bar = LineBar(description, total, unit)
            try:
                yield self._bar
            finally:
                self._bar.clear()
                self._bar = Bar()
        elif self._rich.is_terminal and self.verbose and not self._rich.is_dumb_terminal:
            with terminal_bar(self._rich, description, total, unit, is_bound) as bar:
                yield bar
        else:
            yield Bar()

    def table(self, table: "Table") -> None:
        """Print a table, in a log without its frame."""
        if self._rich.is_terminal:
            self._rich.print(table)
        else:
            table.box = None
            self._rich.print(table, width=LOG_WIDTH)

    def _encodable(self, text: str) -> str:
        """Plain letters for the signs that an old terminal's encoding lacks."""
        try:
            text.encode(self._rich.encoding)
        except UnicodeEncodeError:
            for sign, plain in (("✓", "OK"), ("→", "->"), ("⚠", "WARNING"), ("✗", "x")):
                text = text.replace(sign, plain)
        return text
