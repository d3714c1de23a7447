"""Building blocks of HTML: what is text is escaped here, and only here."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from lit_autotune._shared.theme import SCOPE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
& {background:var(--la-paper); color:var(--la-ink); font:14px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
  padding:.2em 1em 1em; max-width:60rem; box-sizing:border-box}
& * {box-sizing:border-box}
& h1 {font-size:1.6em; line-height:1.2; margin:.8em 0 .3em; color:inherit}
& h2 {font-size:1.15em; margin:1.6em 0 .4em; color:inherit; font-weight:650}
& p {margin:.4em 0; max-width:75ch}
& .la-quiet {color:var(--la-muted)}
& .la-cards {display:flex; flex-wrap:wrap; gap:.8em; margin:1em 0}
& .la-card {flex:1 1 13em; border:1px solid var(--la-grid); border-radius:8px; padding:.7em 1em;
  border-top:3px solid var(--la-data)}
& .la-card b {display:block; font-size:1.7em; line-height:1.25; font-weight:650; font-variant-numeric:tabular-nums}
& .la-card span {color:var(--la-muted); font-size:.92em}
& .la-doubts {border-left:3px solid var(--la-mark); padding:.1em 1em; margin:1em 0}
& .la-doubts ul {margin:.2em 0; padding-left:1.2em}
& .la-wide {overflow-x:auto; margin:.4em 0}
& table {border-collapse:collapse; font-size:.95em; font-variant-numeric:tabular-nums; margin:0; border:0;
  color:inherit}
& th, & td {text-align:left; padding:.25em 1.1em .25em 0; border:0; border-bottom:1px solid var(--la-grid);
  vertical-align:top; background:none; white-space:normal; overflow-wrap:anywhere}
& td.la-short, & th.la-short {overflow-wrap:normal; white-space:nowrap}
& td.la-long {min-width:10em}
& th {font-weight:600; color:var(--la-muted); font-size:.92em}
& .la-right {text-align:right; padding-right:1.4em}
& tr.la-marked td {font-weight:650}
& tr.la-marked td:first-child {box-shadow:inset 3px 0 0 var(--la-mark); padding-left:.6em}
& tr.la-failed td {color:var(--la-danger)}
& td ul {margin:0; padding-left:1.1em}
& pre {background:none; color:inherit; border:1px solid var(--la-grid); border-radius:6px; padding:.7em 1em;
  overflow-x:auto; font:13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; margin:.5em 0}
& code {font-family:ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size:.95em; background:none;
  color:inherit}
& details {margin:.5em 0; border-top:1px solid var(--la-grid); padding-top:.4em}
& summary {cursor:pointer; font-weight:600}
& figure {margin:.6em 0}
& svg {display:block}
""".replace("& ", f".{SCOPE} ")
"""What the blocks look like, in the colours of the theme."""


def tag(name: str, *inside: str, **attributes: str) -> str:
    """An element; ``class_`` stands for the attribute ``class``. What is inside is HTML already."""
    named = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items() if value)
    return f"<{name}{named}>{''.join(inside)}</{name}>"


def text(words: object) -> str:
    """Words of anybody's as HTML."""
    return escape(str(words))


def bullets(lines: Iterable[str]) -> str:
    """A list of sentences."""
    return tag("ul", *(tag("li", text(line)) for line in lines))


class Row(tuple[str, ...]):
    """Cells of a table, HTML already.

    Attributes:
        look: ``"la-marked"`` for what was chosen, ``"la-failed"`` for what did not work, or empty.
    """

    look: str

    def __new__(cls, *cells: str, look: str = "") -> "Row":
        """The cells, in the order of the columns."""
        row = super().__new__(cls, cells)
        row.look = look
        return row


def table(columns: Sequence[str], rows: Iterable[Row], right: Sequence[int] = (), wide: Sequence[int] = ()) -> str:
    """A table that scrolls where it has no room.

    Args:
        columns: Its headings.
        rows: Its rows.
        right: Columns of numbers.
        wide: Columns of sentences, whose lines may be broken.
    """
    looks = [
        ("la-right " if i in right else "") + ("la-long" if i in wide else "la-short") for i in range(len(columns))
    ]
    head = tag("tr", *(tag("th", text(name), class_=look) for name, look in zip(columns, looks, strict=True)))
    body = (
        tag("tr", *(tag("td", cell, class_=look) for cell, look in zip(row, looks, strict=True)), class_=row.look)
        for row in rows
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="la-wide")


def picture(figure: "Figure", label: str) -> str:
    """A plot in the colours of the page."""
    from lit_autotune._shared.inline_figure import themed_svg

    return tag("figure", themed_svg(figure, label))
