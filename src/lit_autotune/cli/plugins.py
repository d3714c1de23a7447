"""``autotune plugins``: which plugins there are, all about one, and what is wrong with those that do not work."""

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from lit_autotune._shared.text import did_you_mean
from lit_autotune.cli import common
from lit_autotune.errors import ConfigError, PluginError
from lit_autotune.registry.registry import KINDS, Registry
from lit_autotune.registry.status import PluginStatus
from lit_autotune.report.tables import show_rows


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "plugins",
        "List all plugins: what they provide, or why they failed. With a name, all about that one.",
        "  autotune plugins\n  autotune plugins steepest\n  autotune plugins --check",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the plugin to show, or DISTRIBUTION:NAME")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--check", action="store_true", help="exit with 4 if one has failed")
    common.add_plugin_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the list, or all about one plugin.

    Raises:
        ConfigError: If no plugin has that name.
        PluginError: If one has failed and ``--check`` is on.
    """
    registry = common.load_registry(arguments)
    plugins = _named(registry.plugins, arguments.name) if arguments.name else registry.plugins
    if arguments.json:
        known = [_details(registry, plugin) if arguments.name else asdict(plugin) for plugin in plugins]
        print(json.dumps({"plugins": known}, indent=2))
    elif arguments.name:
        for plugin in plugins:
            for line in _lines(_details(registry, plugin)):
                print(line)
    else:
        show_rows(("PLUGIN", "DISTRIBUTION", "STATUS", "PROVIDES"), map(_row, plugins))
    failed = [str(plugin) for plugin in plugins if plugin.status == "failed"]
    if arguments.check and failed:
        raise PluginError(f"{len(failed)} of {len(plugins)} failed: {', '.join(failed)}; see 'autotune plugins NAME'")


def _named(plugins: list[PluginStatus], name: str) -> list[PluginStatus]:
    found = [plugin for plugin in plugins if name in plugin.names]
    if not found:
        known = [known for plugin in plugins for known in plugin.names]
        raise ConfigError(f"no plugin {name!r} is installed{did_you_mean(name, known)}")
    return found


def _row(plugin: PluginStatus) -> tuple[str, ...]:
    said = [plugin.error or ", ".join(plugin.provides), *(f"note: {note}" for note in plugin.notes)]
    distribution = f"{plugin.distribution} {plugin.version}"
    return plugin.name, distribution, str(plugin.status), "; ".join(filter(None, said))


def _details(registry: Registry, plugin: PluginStatus) -> dict[str, Any]:
    """All that is known of a plugin."""
    records = [
        {
            "kind": KINDS[type(record)],
            "name": record.name,
            "summary": record.summary,
            "options": list(_options(record.options)) if record.options else [],
        }
        for record in registry.records_of(plugin)
    ]
    return {**asdict(plugin), "file": _file(plugin.module), "records": records}


def _options(model: type[BaseModel]) -> Iterator[dict[str, str]]:
    """Name, type, default and description of each field of a model."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        yield {
            "name": name,
            "type": kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind),
            "default": "" if field.is_required() else repr(field.get_default(call_default_factory=True)),
            "description": field.description or "",
        }


def _file(module: str) -> str:
    """Where a module lies; of one that is not imported, where its package does. Empty if nobody knows."""
    if file := getattr(sys.modules.get(module), "__file__", None):
        return str(file)
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return ""
    return (spec and spec.origin) or ""


def _lines(details: dict[str, Any]) -> Iterator[str]:
    """The same to be read."""
    yield f"{details['name']}: {details['status']}"
    for name, text in (
        ("distribution", f"{details['distribution']} {details['version']}"),
        ("module", details["module"]),
        ("file", details["file"]),
        ("error", details["error"]),
    ):
        if text:
            yield f"  {name:13} {text}"
    for record in details["records"]:
        yield f"  {record['kind']:13} {record['name']}: {record['summary']}"
        if record["options"]:
            yield f"    [tuner_config.options.{record['name']}]"
        for option in record["options"]:
            default = f" = {option['default']}" if option["default"] else " (must be given)"
            text = f"  {option['description']}" if option["description"] else ""
            yield f"    {option['name']}: {option['type']}{default}{text}"
    for note in details["notes"]:
        yield f"  {'note':13} {note}"
    if details["traceback"]:
        yield ""
        yield details["traceback"].rstrip()
