"""Bars that show how far something is: rich's in a terminal, one line that is written anew in a notebook."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

WIDTH, LINE = 14, 100
"""Letters of the bar itself, and of its line in a notebook."""

NOTE = 22
"""Letters of what is said beside it: always as many, so that nothing jumps."""

EVERY = 0.1
"""Seconds between two drawings in a notebook."""


class Bar:
    """What is moved while something is done; this one shows nothing.

    Attributes:
        done: How many are finished.
    """

    def __init__(self) -> None:
        self.done, self._note = 0, ""

    def begin(self, note: str) -> None:
        """Say what is being done."""
        self._note = note
        self._draw()

    def __call__(self, note: str = "") -> None:
        """One more is finished."""
        self.done += 1
        self._note = note
        self._draw()

    def clear(self) -> None:
        """Leave the line to others."""

    def _draw(self) -> None:
        """Show how far it is."""


class TerminalBar(Bar):
    """Moves a bar of rich's."""

    def __init__(self, update: Callable[..., object]):
        super().__init__()
        self._update = update

    def _draw(self) -> None:
        self._update(completed=self.done, note=_fitting(self._note))


class LineBar(Bar):
    """A line of standard output, so that a notebook has one output and not one for each drawing."""

    def __init__(self, description: str, total: int, unit: str):
        super().__init__()
        self._description, self._total, self._unit = description, total, unit
        self._start, self._drawn = time.monotonic(), 0.0

    def clear(self) -> None:
        """Leave the line to others."""
        if self._drawn:
            sys.stdout.write(f"\r{' ' * LINE}\r")
            sys.stdout.flush()
        self._drawn = 0.0

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn < EVERY:
            return
        self._drawn = now
        full = round(WIDTH * min(self.done / self._total, 1))
        bar = "━" * full + "╌" * (WIDTH - full)
        count = f"{self.done:{len(str(self._total))}}/{self._total} {self._unit}"
        text = f"{self._description} {bar} {count}  {_fitting(self._note)} {now - self._start:4.0f} s"
        sys.stdout.write(f"\r{text[:LINE]:{LINE}}")
        sys.stdout.flush()


@contextlib.contextmanager
def terminal_bar(console: "RichConsole", description: str, total: int, unit: str, is_bound: bool) -> Iterator[Bar]:
    """A bar in a terminal, with the time that is left unless ``total`` is only a bound."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    digits = len(str(total))
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=WIDTH),
        TextColumn(f"{{task.completed:{digits}.0f}}/{{task.total:<{digits}.0f}} {unit}"),
        TextColumn("{task.fields[note]}", style="dim"),
        *([TimeElapsedColumn()] if is_bound else [TimeRemainingColumn(), TextColumn("left")]),
    ]
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=total, note=_fitting(""))
        bar = TerminalBar(lambda **fields: progress.update(task, **fields))
        yield bar
        progress.update(task, total=max(bar.done, 1))


def _fitting(note: str) -> str:
    return f"{note[:NOTE]:{NOTE}}"
