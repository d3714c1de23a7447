"""Writing found values into a TOML config, so that the next run needs no tuning."""

from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from lit_autotune.errors import ConfigError
from lit_autotune.report.results import TuningReport


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
    tuner = _table(root, "tuner_config")
    tuner["use_batch_size_tuning"] = tuner["use_learning_rate_tuning"] = False
    if size := report.batch_size:
        _set(root, size.places, size.chosen)
    if rate := report.learning_rate:
        _set(root, rate.places, rate.chosen)
    path.write_text(document.as_string(), encoding="utf-8")


def _set(root: Any, places: Sequence[str], value: float) -> None:
    """Set a value where the config has it already, else as the init argument that its place suggests."""
    if not places:
        return
    paths = [place.split(".") for place in places]
    for owner, *path in paths:
        for start in range(len(path)):
            if _has(root.get(f"{owner}_config", {}), path[start:]):
                _put(root, [f"{owner}_config", *path[start:]], value)
                return
    # hparams are init arguments by their nature; any other attribute is taken to be named after its argument
    owner, *path = next((path for path in paths if path[1] == "hparams"), paths[0])
    _put(root, [f"{owner}_config", *(path[1:] if path[0] == "hparams" else path[-1:])], value)


def _has(table: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(table, MutableMapping) or name not in table:
            return False
        table = table[name]
    return not isinstance(table, MutableMapping)


def _put(root: Any, path: Sequence[str], value: float) -> None:
    *tables, name = path
    for table in tables:
        root = _table(root, table)
    root[name] = value


def _table(root: Any, name: str) -> Any:
    import tomlkit

    if name not in root:
        root[name] = tomlkit.table()
    return root[name]
