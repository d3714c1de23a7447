"""Write what is generated in the docs: the table of fields, from the model itself, and the texts of ``--help``."""

import contextlib
import io
import os
import re
import sys
from pathlib import Path

from lit_autotune import TunerConfig
from lit_autotune.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "docs/configuration.md", ROOT / "docs/command.md"]
COMMANDS = ("", "tune", "fit", "estimate", "suggest", "cache", "plugins", "config", "init")


def fields_table():
    """The fields of TunerConfig as a Markdown table."""
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in TunerConfig.model_fields.items():
        kind = str(getattr(field.annotation, "__name__", field.annotation))
        kind = {"dict": "table", "int | None": "int or none", "Union": "bool or Literal"}.get(kind, kind)
        kind = re.sub(r"\b(pathlib\.)(_local\.)?", "", kind).replace(" | None", " or none").replace(" | ", " or ")
        default = (
            ""
            if field.default is None
            else "none"
            if field.default_factory
            else f"`{field.default!r}`".replace("'", '"')
        )
        lines.append(f"| `{name}` | {kind} | {default} | {field.description} |")
    return "\n".join(lines)


def help_of(command):
    """What a command's ``--help`` prints on a terminal of 100 columns."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            main([command, "--help"] if command else ["--help"])
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def help_texts():
    """A section for each command."""
    return "\n\n".join(
        f"## autotune{f' {command}' if command else ''}\n\n```text\n{help_of(command)}\n```" for command in COMMANDS
    )


PARTS = {"fields": fields_table, "help": help_texts}


def generated(text):
    """A page's text with its generated parts renewed."""
    for name, make in PARTS.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if start in text:
            text = re.sub(f"{start}.*?{end}", lambda _, s=start, m=make, e=end: f"{s}\n{m()}\n{e}", text, flags=re.S)
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(generated(page.read_text()))
    sys.exit(0)
