"""``autotune cache``: which results of earlier tunings are kept."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.cli import common
from lit_autotune.errors import ConfigError

if TYPE_CHECKING:
    from lit_autotune.cache.store import CachedResult, ResultStore


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "cache",
        "List, show or forget the results of earlier tunings that 'cache = true' keeps.",
        "  autotune cache list\n  autotune cache show 3f9a\n  autotune cache clear 3f9a\n  autotune cache clear",
    )
    parser.add_argument("action", choices=("list", "show", "clear"), help="what to do")
    parser.add_argument("keys", nargs="*", metavar="KEY", help="which ones: the beginning of their keys (clear: all)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where they are (default: as the settings say)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Do one of the three.

    Raises:
        ConfigError: If a key is unknown or stands for several.
    """
    from lit_autotune.cache.store import ResultStore
    from lit_autotune.settings.layers import TunerSettings

    folder = arguments.folder or TunerSettings.load().config.cache
    store = ResultStore(folder if isinstance(folder, Path) else None)
    if arguments.action == "clear":
        keys = [_one(store, key).key for key in arguments.keys]
        print(f"{store.remove(keys or None)} removed from {store.folder}")
    elif arguments.action == "show":
        if not arguments.keys:
            raise ConfigError("cache show needs a KEY; 'autotune cache list' shows them")
        for key in arguments.keys:
            _show(_one(store, key))
    else:
        _list(store)


def _list(store: "ResultStore") -> None:
    from lit_autotune.report.tables import show_rows

    results = store.results()
    if not results:
        print(f"nothing is kept in {store.folder}; tune with --cache true")
        return
    show_rows(
        ("KEY", "FOUND", "MODULE", "BATCH SIZE", "LEARNING RATE"),
        (
            (
                result.key,
                _when(result),
                result.fingerprint.get("module", {}).get("class", "-"),
                str(size.chosen) if (size := result.report.batch_size) else "-",
                f"{rate.chosen:.2e}" if (rate := result.report.learning_rate) else "-",
            )
            for result in results
        ),
    )
    print(f"in {store.folder}")


def _show(result: "CachedResult") -> None:
    """What was written, and what the result depends on."""
    print(f"{result.key}, found {_when(result)}")
    for value in result.values:
        print(f"  {', '.join('.'.join(place) for place in value.places)} = {value.value}")
    for topic, items in result.fingerprint.items():
        print(f"{topic}:")
        for name, item in items.items():
            print(f"  {name}: {item}")


def _when(result: "CachedResult") -> str:
    return result.made.astimezone().strftime("%Y-%m-%d %H:%M")


def _one(store: "ResultStore", key: str) -> "CachedResult":
    found = [result for result in store.results() if result.key.startswith(key)]
    if len(found) != 1:
        number = "no result" if not found else f"{len(found)} results"
        raise ConfigError(f"{key}: {number} of that key in {store.folder}; 'autotune cache list' shows them")
    return found[0]
