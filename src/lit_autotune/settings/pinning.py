"""Writing found values into a TOML config, so that the next run needs no tuning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_autotune.errors import ConfigError
from lit_autotune.report.results import TuningReport
from lit_autotune.tuning.keep import found


def open_document(path: Path, config_path: Path | None) -> Any:
    """The document to pin values in: the file itself, else a copy of the config in use, else an empty one.

    Raises:
        ConfigError: If the file is no TOML or cannot be read.
    """
    import tomlkit
    from tomlkit.exceptions import ParseError

    source = path if path.is_file() else config_path
    try:
        text = source.read_text(encoding="utf-8") if source else ""
        return tomlkit.parse(text)
    except OSError as error:
        raise ConfigError(f"--write {path}: cannot be read: {error.strerror}") from error
    except ParseError as error:
        raise ConfigError(f"--write {path}: not valid TOML: {error}") from error


def pin(document: Any, path: Path, report: TuningReport) -> None:
    """Set the values found and switch tuning off; comments and order survive.

    Args:
        document: What :func:`open_document` returned.
        path: The file to write.
        report: What was found.
    """
    root = document
    if path.name == "pyproject.toml":
        root = _table(_table(document, "tool"), "lit-autotune")
    for keys, value, _ in _pins(root, report):
        _put(root, keys, value)
    path.write_text(document.as_string(), encoding="utf-8")


def toml_lines(config: Mapping[str, Any], report: TuningReport) -> list[str]:
    """The lines of a TOML config that set the values found and switch tuning off.

    Args:
        config: The config's tables as they are.
        report: What was found.
    """
    import tomlkit

    lines: list[str] = []
    header: Sequence[str] = ()
    for (*tables, name), value, note in _pins(config, report):
        if tables != header:
            lines += [*([""] if lines else []), f"[{'.'.join(tables)}]"]
            header = tables
        lines.append(f"{name} = {tomlkit.item(value).as_string()}{note}")
    return lines


def _pins(root: Any, report: TuningReport) -> list[tuple[list[str], Any, str]]:
    """The keys to set, their values, and what a number is meant for."""
    switches = ("use_batch_size_tuning", "use_learning_rate_tuning")
    pins: list[tuple[list[str], Any, str]] = [(["tuner_config", switch], False, "") for switch in switches]
    if root.get("tuner_config", {}).get("steps"):
        pins.append((["tuner_config", "steps"], [], ""))
    return pins + [(_keys(root, places), value, note) for places, value, note in found(report)]


def _keys(root: Any, places: Sequence[str]) -> list[str]:
    """Where the config has a value already, else the init argument that its place suggests."""
    paths = [place.split(".") for place in places]
    for owner, *path in paths:
        for start in range(len(path)):
            if _has(root.get(f"{owner}_config", {}), path[start:]):
                return [f"{owner}_config", *path[start:]]
    # hparams are init arguments by their nature; any other attribute is taken to be named after its argument
    owner, *path = next((path for path in paths if path[1] == "hparams"), paths[0])
    return [f"{owner}_config", *(path[1:] if path[0] == "hparams" else path[-1:])]


def _has(table: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(table, Mapping) or name not in table:
            return False
        table = table[name]
    return not isinstance(table, Mapping)


def _put(root: Any, path: Sequence[str], value: Any) -> None:
    *tables, name = path
    for table in tables:
        root = _table(root, table)
    root[name] = value


def _table(root: Any, name: str) -> Any:
    import tomlkit

    if name not in root:
        root[name] = tomlkit.table()
    return root[name]
