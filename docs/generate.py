"""Write what is generated in the docs: the table of fields, from the model itself."""

import re
import sys
from pathlib import Path

from lit_autotune import TunerConfig

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs/configuration.md"]
START, END = "<!-- fields -->", "<!-- end of fields -->"


def fields_table():
    """The fields of TunerConfig as a Markdown table."""
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in TunerConfig.model_fields.items():
        kind = str(getattr(field.annotation, "__name__", field.annotation))
        kind = {"dict": "table", "int | None": "int or none", "Union": "bool or Literal"}.get(kind, kind)
        kind = re.sub(r"\b(pathlib\.)(_local\.)?", "", kind).replace(" | None", " or none")
        default = (
            "" if field.default is None else "none" if name == "options" else f"`{field.default!r}`".replace("'", '"')
        )
        lines.append(f"| `{name}` | {kind} | {default} | {field.description} |")
    return "\n".join(lines)


def generated(text):
    """A page's text with its table renewed."""
    return re.sub(f"{START}.*?{END}", lambda _: f"{START}\n{fields_table()}\n{END}", text, flags=re.S)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(generated(page.read_text()))
    sys.exit(0)
