"""What all plots have in common: colours, a figure of one's own, the frame, the file."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#1f5fa8", "#c0392b", "#7f8c8d"


def new_figure() -> "Figure":
    """A figure that belongs to no window and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(8, 4.8), layout="constrained")


def frame(axes: "Axes", title: str, across: str, up: str) -> None:
    """Give axes with all their content a title, labels, a grid and a legend."""
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)


def save(figure: "Figure", path: Path) -> Path:
    """Save a figure, making its folder if needed; returns the absolute path.

    Raises:
        OSError: If it cannot be written.
        ValueError: If that type of file cannot be drawn.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path.resolve()


def as_svg(figure: "Figure") -> str:
    """A figure as the text of an SVG element, to stand in a page."""
    file = io.StringIO()
    figure.savefig(file, format="svg")
    text = file.getvalue()
    return text[text.index("<svg") :]
