"""Arguments that several commands share."""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_autotune.config import PRESETS, TunerConfig
from lit_autotune.errors import ConfigError
from lit_autotune.registry.registry import Registry
from lit_autotune.settings.layers import TunerSettings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Commands = _SubParsersAction[argparse.ArgumentParser]

GROUPS = (
    ("batch size", ("use_batch", "batch_size")),
    ("learning rate", ("use_learning", "lr_", "update_model_lr")),
    ("comparison", ("compare", "verify_budget")),
)

PLUGINS = {
    "steps": ("--step", "NAME", "run the step NAME of a plugin, too (may be repeated)"),
    "options": ("--option", "NAME.FIELD=VALUE", "an option of the rule, strategy or step NAME (may be repeated)"),
}
"""Fields that have a flag of their own: the flag, its metavar, what it does."""

WAYS = {"quick": "quickly", "thorough": "thoroughly"}


def new_parser(commands: "Commands", name: str, summary: str, examples: str = "") -> argparse.ArgumentParser:
    """A subcommand's parser."""
    return commands.add_parser(
        name,
        help=summary.partition(". ")[0].rstrip("."),
        description=summary,
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    """``-p no:NAME``."""
    parser.add_argument(
        "-p",
        dest="plugins",
        action="append",
        default=[],
        metavar="no:NAME",
        help="do not even import the plugin NAME (may be repeated)",
    )


def load_registry(arguments: argparse.Namespace) -> Registry:
    """The plugins, but for those blocked with ``-p no:NAME``.

    Raises:
        ConfigError: If a value of ``-p`` is malformed or names no plugin.
    """
    for value in arguments.plugins:
        if not value.startswith("no:") or value == "no:":
            raise ConfigError(f"-p {value}: must be no:NAME, with a name that 'autotune plugins' shows")
    return Registry.load(blocked=[value.removeprefix("no:") for value in arguments.plugins])


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """``--config`` and a flag for each field of ``TunerConfig``."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file (default: $LIT_AUTOTUNE_CONFIG, ./autotune.toml, or [tool.lit-autotune] in ./pyproject.toml)",
    )
    quiet: dict[str, Any] = {"dest": "verbose", "action": "store_false", "default": argparse.SUPPRESS}
    parser.add_argument("-q", "--quiet", help="the same as --no-verbose", **quiet)
    presets = parser.add_mutually_exclusive_group()
    for preset, values in PRESETS.items():
        named = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        presets.add_argument(
            f"--{preset}", dest="preset", action="store_const", const=preset, help=f"tune {WAYS[preset]}: {named}"
        )
    plugins = parser.add_argument_group("plugins")
    for name, (flag, metavar, text) in PLUGINS.items():
        adding: dict[str, Any] = {"action": "append", "default": argparse.SUPPRESS}
        plugins.add_argument(flag, dest=name, metavar=metavar, help=text, **adding)
    groups = {title: parser.add_argument_group(title) for title, _ in GROUPS}
    for name, field in TunerConfig.model_fields.items():
        if name in PLUGINS:
            continue
        title = next((title for title, prefixes in GROUPS if name.startswith(prefixes)), None)
        default = "" if field.default is None else f" (default: {str(field.default).lower()})"
        text = (field.description or "").rstrip(".").replace("`", "").replace("%", "%%")
        kwargs: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text + default}
        if field.annotation is bool:
            kwargs["action"] = argparse.BooleanOptionalAction
        else:
            kwargs["metavar"] = name.rpartition("_")[2].upper()
        (groups[title] if title else parser).add_argument("--" + name.replace("_", "-"), **kwargs)


def _tables(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The tables of ``--option NAME.FIELD=VALUE``; a value is read as in a TOML file, else it is a text.

    Raises:
        ConfigError: If one has another form.
    """
    tables: dict[str, dict[str, Any]] = {}
    for word in words:
        place, equals, value = word.partition("=")
        name, dot, field = place.partition(".")
        if not (equals and name and dot and field):
            raise ConfigError(
                f"--option {word}: must be NAME.FIELD=VALUE, with the name of a plugin's rule, strategy or step"
            )
        try:
            tables.setdefault(name, {})[field] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            tables.setdefault(name, {})[field] = value
    return tables


def load_settings(arguments: argparse.Namespace) -> TunerSettings:
    """All layers of settings merged; what looks like a mistake is said on standard error.

    Raises:
        ConfigError: If a value is refused.
    """
    flags = {name: value for name, value in vars(arguments).items() if name in TunerConfig.model_fields}
    if "options" in flags:
        flags["options"] = _tables(flags["options"])
    settings = TunerSettings.load(flags=flags, preset=arguments.preset, config_file=arguments.config)
    for warning in settings.warnings:
        print(f"autotune: warning: {warning}", file=sys.stderr)
    return settings
