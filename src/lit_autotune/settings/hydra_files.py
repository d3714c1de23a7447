"""The line of a YAML file that a value of a composed configuration stands in, and writing another one there."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lit_autotune.copies.numeric import as_number
from lit_autotune.settings.hydra_job import Source


class Holding(NamedTuple):
    """Where a number stands in a file.

    Attributes:
        path: The file.
        line: The line, counted from 1.
        start: Where the number begins, in characters from the start of the file.
        end: Where it ends, likewise.
    """

    path: Path
    line: int
    start: int
    end: int

    def __str__(self) -> str:
        here = Path.cwd()
        return f"{self.path.relative_to(here) if self.path.is_relative_to(here) else self.path}:{self.line}"


def holding(sources: Iterable[Source], key: tuple[str, ...], old: float | None) -> Holding | None:
    """Where the value of a key comes from: the last of the files that has it, if that is where it still is.

    Args:
        sources: The files, later ones above earlier ones.
        key: The key.
        old: The value in force; if the file has another one, something above the files has set it.
    """
    for source in reversed(list(sources)):
        depth = len(source.package)
        if key[:depth] != source.package or len(key) <= depth:
            continue
        text = _read(source.path)
        found = _scalar(text, key[depth:])
        if found is not None:
            start, end, line = found
            return Holding(source.path, line, start, end) if _number(text[start:end]) == old else None
    return None


def replace(place: Holding, value: float) -> None:
    """Write another number in a place; all else of the file stays as it is, to the byte.

    Raises:
        OSError: If the file cannot be written.
    """
    text = _read(place.path)
    with place.path.open("w", encoding="utf-8", newline="") as file:
        file.write(text[: place.start] + _as_yaml(value) + text[place.end :])


def _read(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _scalar(text: str, key: tuple[str, ...]) -> tuple[int, int, int] | None:
    """Start, end and line of the value of a key; an empty range if it is no scalar of the file's own."""
    import yaml

    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 0
    for name in key:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        # of a key given twice the last one counts
        name_node, node = next(((k, v) for k, v in reversed(pairs) if k.value == name), (None, None))
        if name_node is None:
            return None
        if node.start_mark.index < name_node.end_mark.index:  # an alias: what it stands for is elsewhere
            return 0, 0, 0
        line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        return 0, 0, 0
    end = node.end_mark.index
    written = re.search(r"\S+$", text[node.start_mark.index : end])  # without an anchor or a tag before it
    return end - len(written[0]) if written else end, end, line


def _number(written: str) -> Any:
    return as_number(written.strip("'\""))


def _as_yaml(value: float) -> str:
    """A number that all YAML readers take for one: they want a point before an exponent."""
    written = repr(value)
    return written if "e" not in written or "." in written else written.replace("e", ".0e")
