"""What all plots have in common: colours, a figure that shows itself, the frame, margins, the file."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PlotStyle = Literal["light", "dark"]

WIDTH = 8.0
LEFT, RIGHT, TOP = 0.85, 0.25, 0.5
"""Margins in inches. Fixed ones: to have them worked out takes matplotlib as long as the drawing itself."""

LABELS, ROW, LINE = 0.58, 0.19, 0.15
"""Height of the axis labels, of a row of the legend, of a line of text, in inches."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by their use, each used once. They can be told apart with any kind of colour vision (Okabe and Ito)."""

    paper: str
    ink: str
    muted: str
    grid: str
    data: str
    mark: str
    danger: str


PALETTES: dict[str, Palette] = {
    "light": Palette("#ffffff", "#1f2328", "#59636e", "#dde2e7", "#0072b2", "#d55e00", "#b8578f"),
    "dark": Palette("#15181c", "#e6edf3", "#9ba5b0", "#353c44", "#56b4e9", "#f0a30a", "#dd8fbb"),
}


def new_figure(style: PlotStyle = "light") -> "Figure":
    """A figure that belongs to no window and no global state, and draws itself in a notebook."""
    from lit_autotune._shared.inline_figure import InlineFigure

    return InlineFigure(figsize=(WIDTH, 4.8), facecolor=PALETTES[style].paper)


def frame(axes: "Axes", palette: Palette, across: str, up: str) -> None:
    """Give axes their labels, a grid, and the palette's colours."""
    axes.set_facecolor(palette.paper)
    axes.set_xlabel(across, color=palette.ink, fontsize=10)
    axes.set_ylabel(up, color=palette.ink, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.muted)
    axes.tick_params(colors=palette.muted, labelcolor=palette.ink, labelsize=9)
    axes.grid(color=palette.grid, linewidth=0.7)
    axes.set_axisbelow(True)


def arrange(
    figure: "Figure", palette: Palette, title: str, panels: Sequence[tuple["Axes", float]], notes: Sequence[str]
) -> None:
    """Put panels below each other, the legend and notes below them: outside, where they hide nothing.

    Args:
        figure: The figure that the panels are in. It becomes as high as all that takes.
        palette: Its colours.
        title: Its title.
        panels: Axes with their heights in inches, from the top. The legend has what any of them labels.
        notes: Lines of text at the bottom.
    """
    handles = {text: one for axes, _ in panels for one, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    rows = -(-len(handles) // 2)
    legend, text = ROW * rows + 0.1, LINE * len(notes) + (0.04 if notes else 0)
    gap = 0.15
    height = TOP + sum(high for _, high in panels) + gap * (len(panels) - 1) + LABELS + legend + text + 0.1
    figure.set_size_inches(WIDTH, height)
    bottom = height - TOP
    for axes, high in panels:
        bottom -= high
        axes.set_position((LEFT / WIDTH, bottom / height, (WIDTH - LEFT - RIGHT) / WIDTH, high / height))
        bottom -= gap
    axes, high = panels[-1]
    if handles:
        axes.legend(
            handles.values(),
            handles.keys(),
            ncols=2,
            loc="upper left",
            bbox_to_anchor=(0, -(LABELS - 0.05) / high),
            borderaxespad=0,
            borderpad=0,
            columnspacing=2.5,
            frameon=False,
            fontsize=9,
            labelcolor=palette.ink,
        )
    left = LEFT / WIDTH
    figure.text(left, 1 - 0.3 / height, title, fontsize=12, fontweight="bold", color=palette.ink, va="center")
    for i, note in enumerate(reversed(notes)):
        axes.text(
            left, (0.1 + LINE * i) / height, note, transform=figure.transFigure, fontsize=8, color=palette.muted,
            va="bottom", clip_on=False,
        )  # fmt: skip


def beside(axes: "Axes", palette: Palette, text: str, at: tuple[float, float], rising: bool) -> None:
    """Write beside a marker on a curve, where the curve is not.

    Args:
        axes: What the marker is in; its limits are final.
        palette: The colours.
        text: What to write.
        at: The marker's place, in data coordinates.
        rising: Whether the curve rises there.
    """
    from matplotlib.patheffects import withStroke

    right, up = (axes.transScale + axes.transLimits).transform(at)
    to_the_left = right > 0.8 or (rising and right > 0.2)
    is_below = up > 0.9 or (up > 0.3 and to_the_left != rising)
    axes.annotate(
        text,
        at,
        (-10 if to_the_left else 10, -15 if is_below else 7),
        textcoords="offset points",
        ha="right" if to_the_left else "left",
        fontsize=10,
        fontweight="bold",
        color=palette.mark,
        path_effects=[withStroke(linewidth=3, foreground=palette.paper)],
        zorder=8,
        annotation_clip=False,
    )


def save(figure: "Figure", path: Path) -> Path:
    """Save a figure, making its folder if needed; returns the absolute path.

    Raises:
        OSError: If it cannot be written.
        ValueError: If that type of file cannot be drawn.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # zlib's level 6 takes three times as long, for a file that is a tenth smaller.
    options: dict[str, Any] = {"pil_kwargs": {"compress_level": 3}} if path.suffix.lower() == ".png" else {}
    figure.savefig(path, dpi=150, **options)
    return path.resolve()


def as_svg(figure: "Figure") -> str:
    """A figure as the text of an SVG element, to stand in a page: the same each time, its letters as letters."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "lit-autotune"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
