"""``autotune config``: every setting, its value, and where it came from."""

import argparse

from lit_autotune.cli import common


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "config",
        "Show every field, its value and where the value came from.",
        "  autotune config --lr-min 1e-6\n  LIT_AUTOTUNE_LR_MAX=0.1 autotune config",
    )
    common.add_settings_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the merged settings."""
    settings = common.load_settings(arguments)
    rows = [
        (name, "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value), source)
        for (name, value), source in zip(settings.config, settings.sources.values(), strict=True)
    ]
    rows.insert(0, ("FIELD", "VALUE", "FROM"))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for name, value, source in rows:
        print(f"{name.ljust(widths[0])}  {value.ljust(widths[1])}  {source}")
