"""The page that tables and plots go to."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[2] / "docs" / "batch_size_search.md"


def write_between(name: str, lines: Iterable[str]) -> None:
    """Renew what stands between the markers of that name."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    text = DOCUMENT.read_text(encoding="utf-8")
    before, after = text.split(start)[0], text.split(end)[1]
    DOCUMENT.write_text(f"{before}{start}\n\n" + "\n".join(lines) + f"\n\n{end}{after}", encoding="utf-8")


def frame(axes: Any, title: str) -> None:
    """The look of all plots."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="x", alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
