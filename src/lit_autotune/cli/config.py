"""``autotune config``: every setting, its value, and where it came from."""

import argparse

from lit_autotune.cli import common
from lit_autotune.cli.flags import add_settings_options
from lit_autotune.report.tables import show_rows


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "config",
        "Show every field, its value and where the value came from.",
        "  autotune config --lr-min 1e-6\n  LIT_AUTOTUNE_LR_MAX=0.1 autotune config",
    )
    add_settings_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the merged settings."""
    settings = common.load_settings(arguments)
    rows = [
        (name, "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value), source)
        for (name, value), source in zip(settings.config, settings.sources.values(), strict=True)
    ]
    show_rows(("FIELD", "VALUE", "FROM"), rows)
