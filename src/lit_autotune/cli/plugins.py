"""``autotune plugins``: which plugins there are, and what is wrong with those that do not work."""

import argparse
import json
from dataclasses import asdict

from lit_autotune.cli import common
from lit_autotune.report.tables import show_rows


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(commands, "plugins", "List all plugins: what they provide, or why they failed.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    common.add_plugin_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the list."""
    plugins = common.load_registry(arguments).plugins
    if arguments.json:
        print(json.dumps({"plugins": [asdict(plugin) for plugin in plugins]}, indent=2))
        return
    show_rows(
        ("PLUGIN", "DISTRIBUTION", "STATUS", "PROVIDES"),
        (
            (
                plugin.name,
                f"{plugin.distribution} {plugin.version}",
                str(plugin.status),
                plugin.error or ", ".join(plugin.provides),
            )
            for plugin in plugins
        ),
    )
