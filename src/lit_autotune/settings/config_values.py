"""Tuned values in the words of a LightningCLI's configuration: as arguments, in the saved config, in a YAML file."""

import copy
import io
import json
import re
import shlex
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from lit_autotune.errors import ConfigError
from lit_autotune.internals.packages import require
from lit_autotune.report.results import TuningReport
from lit_autotune.tuning.config_keys import Key, Keys, put
from lit_autotune.tuning.saved_config import Result, keys_of, results


class ConfigValues:
    """Where the values of a report belong in the configuration that the tuned objects were made of.

    Args:
        cli: An ``OpenCLI``.
        config: The configuration that the tuned objects were made of, with the values from before.
        report: What was found.
    """

    def __init__(self, cli: Any, config: Any, report: TuningReport):
        self._parser, self._subcommand, self._config = cli.parser_for(cli.subcommand), cli.subcommand, config
        self._found = [(one, keys_of(self._parser, config, one)) for one in results(report)]

    def lines(self) -> list[str]:
        """What the user appends to the command line to train with these values, and what has no key."""
        pasted = " ".join(_argument(self._config, key, value) for key, value in self._values())
        return [*([pasted] if pasted else []), *self._doubts()]

    def pin(self, path: Path, files: list[Path]) -> None:
        """Write the values into a YAML file; comments and order survive.

        A file that does not exist yet becomes a copy of the one that was read or, if it was not just one, has the whole
        configuration.

        Args:
            path: The file to write.
            files: Those that the configuration was read from.

        Raises:
            ConfigError: If the file has no room for a value, or is no YAML.
        """
        if not path.is_file() or not path.stat().st_size:
            text = files[0].read_text(encoding="utf-8") if len(files) == 1 else self._whole()
        else:
            text = path.read_text(encoding="utf-8")
        yaml, document = open_yaml(path, text)
        root = document
        if isinstance(root.get(self._subcommand), MutableMapping):
            root = root[self._subcommand]
        for key, value in self._values():
            _put(root, key, value, self._config, path)
        written = io.StringIO()
        yaml.dump(document, written)
        path.write_text(written.getvalue(), encoding="utf-8")
        for doubt in self._doubts():
            print(f"autotune: warning: {doubt}", file=sys.stderr)

    def _values(self) -> Iterator[tuple[Key, float]]:
        for result, keys in self._found:
            yield from _valued(result, keys)

    def _doubts(self) -> list[str]:
        return [
            f"no key of the configuration is known for {', '.join(result.places)}; set it to {result.chosen:g} yourself"
            for result, keys in self._found
            if result.places and not keys.given
        ]

    def _whole(self) -> str:
        return str(self._parser.dump(self._config, skip_none=False))


def open_yaml(path: Path, text: str) -> tuple[Any, Any]:
    """A writer that keeps comments and indentation, and the document.

    Raises:
        ConfigError: If it is no YAML with a table at its top, or ruamel.yaml is missing.
    """
    require("cli", "ruamel.yaml")
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.util import load_yaml_guess_indent

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 100_000
    try:
        document = yaml.load(text) or CommentedMap()
        _, indent, offset = load_yaml_guess_indent(text)
    except YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(document, MutableMapping):
        raise ConfigError(f"{path}: must have keys such as model: and trainer: at its top")
    steps = re.findall(r"^[\w.-]+:[^\n]*\n(?:\s*(?:#[^\n]*)?\n)*( +)[\w.-]+:", text, flags=re.M)
    yaml.indent(mapping=len(steps[0]) if steps else 2, sequence=indent or 2, offset=offset or 0)
    return yaml, document


def _valued(result: Result, keys: Keys) -> Iterator[tuple[Key, float]]:
    for key, share in keys.given.items():
        yield key, result.chosen if share == 1 else result.chosen * share


def _argument(config: Any, key: Key, value: float) -> str:
    """A value as an argument; in a table without types as that whole table, or the parser would leave it text."""
    for i, name in enumerate(key):
        if isinstance(config, dict):
            table = copy.deepcopy(config)
            put(table, key[i:], value)
            return f"--{'.'.join(key[:i])}={shlex.quote(json.dumps(table, default=str))}"
        config = config[name]
    return f"--{'.'.join(key)}={value!r}"


def _put(root: Any, key: Key, value: float, config: Any, path: Path) -> None:
    """Set a value; tables on the way that the file lacks are made, each with its class where it has one."""
    *groups, name = key
    for group in groups:
        config = config[group]
        table = root.get(group)
        if isinstance(table, str) and table.endswith((".yaml", ".yml", ".json")):
            raise ConfigError(f"{path}: {group} is kept in {table}; set {'.'.join(key)} to {value!r} there")
        if not isinstance(table, MutableMapping):
            class_path = table or config.get("class_path")
            root[group] = {"class_path": class_path} if class_path else {}
        root = root[group]
    root[name] = value
