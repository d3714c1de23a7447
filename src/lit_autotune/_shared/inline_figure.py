"""A figure that draws itself in a notebook, and pictures for web pages. Imported late, as it imports matplotlib."""

import hashlib
import re
from html import escape

from matplotlib.figure import Figure  # noqa: TID253 - the base class

from lit_autotune._shared.figures import PALETTES, as_svg


class InlineFigure(Figure):
    """A figure that a notebook shows without ``%matplotlib inline``, and once with it, too."""

    def _repr_svg_(self) -> str:
        return as_svg(self)


def themed_svg(figure: Figure, label: str) -> str:
    """The figure for a page of light or dark colours: it takes them from the variables of ``theme.COLOURS``.

    Args:
        figure: A figure in light colours.
        label: What a screen reader says.
    """
    text = as_svg(figure)
    palette = PALETTES["light"]
    for name in palette.__slots__:
        text = text.replace(getattr(palette, name), f"var(--la-{name})")
    # Ids are those of the whole page, where there may be several pictures.
    prefix = f"la{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    text = re.sub(r"(id=\"|url\(#|href=\"#)", rf"\g<1>{prefix}-", text)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # As wide as there is room, and no wider than drawn.
    size = re.compile(r'width="([\d.]+)pt" height="[\d.]+pt"')
    text = size.sub(r'style="width:100%;max-width:\1pt;height:auto"', text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
