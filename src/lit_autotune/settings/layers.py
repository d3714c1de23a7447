"""Settings from several layers: flag > keyword > environment > file > default, each value with its source."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from lit_autotune._shared.problems import Problem, all_problems
from lit_autotune._shared.text import did_you_mean
from lit_autotune.config import PRESETS, TunerConfig
from lit_autotune.errors import ConfigError

ENV_PREFIX = "LIT_AUTOTUNE_"
ENV_CONFIG = ENV_PREFIX + "CONFIG"
DEFAULT_FILE = Path("autotune.toml")
TABLES = ("tuner_config", "trainer_config", "module_config", "datamodule_config")
KEYS = ("seed", "test_after_training", "ckpt_path")


class _Environment(TunerConfig, BaseSettings):
    """The fields of ``TunerConfig`` as environment variables."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, env_nested_delimiter="__", extra="forbid"
    )


@dataclass(frozen=True)
class TunerSettings:
    """A ``TunerConfig`` made of layers.

    Attributes:
        config: The merged, validated configuration.
        sources: Where each field's value comes from, e.g. ``"autotune.toml"`` or ``"default"``.
        warnings: What looks like a mistake but could not be refused.
        document: The whole configuration file, empty if there is none.
        path: That file, if there is one.
    """

    config: TunerConfig
    sources: dict[str, str]
    warnings: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def load(
        cls,
        *,
        flags: Mapping[str, Any] | None = None,
        preset: str | None = None,
        config_file: Path | str | None = None,
        **keywords: Any,
    ) -> "TunerSettings":
        """Merge all layers.

        Args:
            flags: Values of command-line flags, by field.
            preset: ``"quick"`` or ``"thorough"``: the flag that stands for several values, below flags for one.
            config_file: TOML file; if not given ``$LIT_AUTOTUNE_CONFIG``, else ``./autotune.toml``, else the table
                ``[tool.lit-autotune]`` of ``./pyproject.toml``, else none.
            keywords: Values by field, below flags.

        Raises:
            ConfigError: If a named file is missing or broken, or a value is refused; names the value's source.
        """
        path, document = find_document(config_file)
        environment, warnings = _read_environment()
        file_values = document.get("tuner_config", {})
        layers: list[tuple[str, Mapping[str, Any]]] = [
            ("flag", flags or {}),
            (f"--{preset}", PRESETS[preset] if preset else {}),
            ("keyword", keywords),
            ("environment", environment),
            (str(path), file_values),
        ]
        values: dict[str, Any] = {}
        sources = dict.fromkeys(TunerConfig.model_fields, "default")
        for source, layer in layers:
            for name, value in layer.items():
                if name not in values:
                    values[name], sources[name] = value, _name_source(source, name)
                elif name == "options":
                    values[name] = _merged(values[name], value)
        return cls(validate_tuner_config(values, sources), sources, warnings, document, path)


def _merged(above: Any, below: Any) -> Any:
    """Tables of options, with what stands in the lower layer only."""
    if not (isinstance(above, Mapping) and isinstance(below, Mapping)):
        return above
    return {**below, **{name: _merged(value, below[name]) if name in below else value for name, value in above.items()}}


def find_document(config_file: Path | str | None) -> tuple[Path | None, dict[str, Any]]:
    """The configuration file in force and its content; ``(None, {})`` if there is none.

    Raises:
        ConfigError: If a named file is missing, or the file is broken.
    """
    named = config_file or os.environ.get(ENV_CONFIG)
    if named:
        return Path(named), read_document(Path(named))
    if DEFAULT_FILE.is_file():
        return DEFAULT_FILE, read_document(DEFAULT_FILE)
    pyproject = Path("pyproject.toml")
    if pyproject.is_file():
        table = _parse(pyproject).get("tool", {}).get("lit-autotune")
        if table is not None:
            return pyproject, _check_tables(table, "pyproject.toml [tool.lit-autotune]")
    return None, {}


def read_document(path: Path) -> dict[str, Any]:
    """Read a configuration file, a ``pyproject.toml`` included.

    Raises:
        ConfigError: If it is missing, is no TOML, or has tables that are not ours.
    """
    document = _parse(path)
    if path.name == "pyproject.toml":
        document = document.get("tool", {}).get("lit-autotune", {})
    return _check_tables(document, str(path))


def validate_tuner_config(values: Mapping[str, Any], sources: Mapping[str, str]) -> TunerConfig:
    """Make a ``TunerConfig``; a refusal names each value that is wrong, and its source, in one line.

    Raises:
        ConfigError: If a field is unknown or a value is refused.
    """
    known = TunerConfig.model_fields
    wrong = [
        f"{sources[name]}: unknown field tuner_config.{name}{did_you_mean(name, known)}"
        for name in values
        if name not in known
    ]
    try:
        config = TunerConfig.model_validate({name: value for name, value in values.items() if name in known})
    except ValidationError as error:
        wrong += [_refusal(problem, values, sources) for problem in all_problems(error)]
        raise ConfigError("; ".join(wrong)) from error
    if wrong:
        raise ConfigError("; ".join(wrong))
    return config


def _refusal(problem: Problem, values: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    if not problem.place:
        origins = sorted({sources[name] for name in ("lr_min", "lr_max") if name in values})
        return f"{', '.join(origins)}: {problem}"
    return f"{sources[problem.place.partition('.')[0]]}: tuner_config.{problem}"


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file; write one with 'autotune init'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _check_tables(document: Any, where: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: must be a table")
    for name, value in document.items():
        if name not in TABLES + KEYS:
            raise ConfigError(f"{where}: unknown key {name!r}{did_you_mean(name, TABLES + KEYS)}")
        if name in TABLES and not isinstance(value, dict):
            raise ConfigError(f"{where}: {name} must be a table, written as [{name}]")
    return document


def _read_environment() -> tuple[dict[str, Any], list[str]]:
    """Values of our environment variables, and a warning for each one that means nothing."""
    known = {(ENV_PREFIX + name).upper() for name in TunerConfig.model_fields} | {ENV_CONFIG}
    warnings = [
        f"environment variable {name} means nothing{did_you_mean(name, known)}"
        for name in sorted(os.environ)
        if name.startswith(ENV_PREFIX) and name not in known and not name.startswith(ENV_PREFIX + "OPTIONS__")
    ]
    try:
        return EnvSettingsSource(_Environment)(), warnings
    except ValueError as error:  # a table such as options that is not valid JSON
        raise ConfigError(f"environment: {error}") from error


def _name_source(source: str, name: str) -> str:
    if source == "flag":
        if name in ("steps", "options"):
            return f"--{name[:-1]}"
        return "--" + name.replace("_", "-")
    if source == "environment":
        return (ENV_PREFIX + name).upper()
    return source
