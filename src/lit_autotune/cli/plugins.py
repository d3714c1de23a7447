"""``autotune plugins``: which plugins there are, and what is wrong with those that do not work."""

import argparse
import json
from dataclasses import asdict

from lit_autotune.cli import common


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
    rows = [("PLUGIN", "DISTRIBUTION", "STATUS", "PROVIDES")]
    for plugin in plugins:
        source = f"{plugin.distribution} {plugin.version}"
        rows.append((plugin.name, source, str(plugin.status), plugin.error or ", ".join(plugin.provides)))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        print("  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])))
