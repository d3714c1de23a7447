"""Arguments that several commands share."""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lit_autotune.cli.parser import Parser
from lit_autotune.config import TunerConfig
from lit_autotune.errors import ConfigError
from lit_autotune.registry.registry import Registry
from lit_autotune.settings.layers import TunerSettings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Commands = _SubParsersAction[Parser]


def new_parser(commands: "Commands", name: str, summary: str, examples: str = "") -> Parser:
    """A subcommand's parser."""
    parser = commands.add_parser(
        name,
        help=summary.partition(". ")[0].rstrip("."),
        description=summary,
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(parser=parser)
    return parser


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
