"""What checks find, as a table."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

SECONDS = 480.0
"""After these no further check is begun."""

SIGNS = {True: "as it should be", False: "**not as it should be**", None: ""}


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        check: What was looked at.
        found: What was seen.
        is_met: Whether that is as it should be; ``None`` for a figure that is only reported.
    """

    check: str
    found: str
    is_met: bool | None = None


Check = Callable[[str], Iterator[Figure]]
"""Takes the Trainer's ``accelerator``."""


def run(accelerator: str, checks: Iterable[Check], seconds: float = SECONDS) -> list[Figure]:
    """Run checks; one that fails is a line of the table, and the others go on."""
    start = time.perf_counter()
    figures: list[Figure] = []
    for check in checks:
        name = check.__name__.replace("_", " ")
        if time.perf_counter() - start > seconds:
            figures.append(Figure(name, "not run, the time is over"))
            continue
        try:
            figures += check(accelerator)
        except Exception as error:
            text = str(error).splitlines()[0][:120] if str(error) else ""
            figures.append(Figure(name, f"{type(error).__name__}: {text}", False))
    return figures


def table(title: str, figures: Sequence[Figure]) -> str:
    """A table in Markdown, for ``docs/verified.md``."""
    rows = [f"| {figure.check} | {figure.found} | {SIGNS[figure.is_met]} |" for figure in figures]
    return "\n".join([title, "", "| looked at | seen | |", "|---|---|---|", *rows])
