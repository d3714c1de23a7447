"""Colours of what is shown on web pages and in notebooks: those of the plots, light or dark as the reader has it."""

from lit_autotune._shared.figures import PALETTES, Palette

SCOPE = "lit-autotune"
"""Class of the element that everything of ours lies in."""


def _variables(palette: Palette) -> str:
    return "".join(f"--la-{name}:{getattr(palette, name)};" for name in palette.__slots__)


_DARK = ", ".join(
    f"{theme} .{SCOPE}"
    for theme in (
        '[data-jp-theme-light="false"]',
        "body.vscode-dark",
        "body.vscode-high-contrast",
        'html[theme="dark"]',
    )
)
_LIGHT = ", ".join(f"{theme} .{SCOPE}" for theme in ('[data-jp-theme-light="true"]', "body.vscode-light"))

COLOURS = (
    f".{SCOPE} {{{_variables(PALETTES['light'])}color-scheme:light}}\n"
    f"@media screen and (prefers-color-scheme: dark) {{\n"
    f".{SCOPE} {{{_variables(PALETTES['dark'])}color-scheme:dark}} }}\n"
    # A notebook's own theme counts more than the system's.
    f"{_LIGHT} {{{_variables(PALETTES['light'])}color-scheme:light}}\n"
    f"@media screen {{ {_DARK} {{{_variables(PALETTES['dark'])}color-scheme:dark}} }}\n"
)
"""CSS that defines a variable ``--la-NAME`` for each colour of a palette."""


def shown(inside: str, style: str = "") -> str:
    """HTML of our own, with all the CSS that it needs."""
    return f'<div class="{SCOPE}"><style>{COLOURS}{style}</style>{inside}</div>'
