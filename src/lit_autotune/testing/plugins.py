"""A whole plugin: in use without being installed, and checks of it."""

import contextlib
import subprocess
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

from lit_autotune.errors import PluginError
from lit_autotune.hookspecs import REGISTRATION_HOOKS
from lit_autotune.registry.loading import HEAVY
from lit_autotune.registry.registry import Registry
from lit_autotune.registry.status import PluginStatus, find_entry_points
from lit_autotune.testing.state import changed_state
from lit_autotune.testing.steps import step_checks
from lit_autotune.testing.strategies import strategy_checks
from lit_autotune.testing.suggesters import suggester_checks
from lit_autotune.types import BatchSizeStrategy, LRSuggester, TuningStep

PluginCheck = Callable[[object], None]


@contextlib.contextmanager
def registered(plugin: object, name: str = "") -> Iterator[Registry]:
    """Have a plugin in use without installing it, beside all that are installed.

    Inside, ``tune``, ``suggest_lr`` and ``lit_autotune.cli.main`` know it, too. An installed copy is left out
    meanwhile. As a fixture::

        @pytest.fixture
        def registry():
            with registered(my_plugin, "mine") as registry:
                yield registry

    Args:
        plugin: A module, or an object, with hooks.
        name: What to call it; by default the module's own name.

    Yields:
        The registry with it.

    Raises:
        PluginError: If it is not in order.
    """
    load = Registry.load
    name = name or getattr(plugin, "__name__", type(plugin).__name__)

    def load_with_it(blocked: Iterable[str] = ()) -> Registry:
        registry = load([*blocked, *_copies(plugin)])
        registry.register(plugin, name)
        return registry

    with mock.patch.object(Registry, "load", load_with_it):
        yield load_with_it()


def _copies(plugin: object) -> list[str]:
    """Installed plugins that are the same module."""
    module = plugin.__name__ if isinstance(plugin, types.ModuleType) else type(plugin).__module__
    return [found.status.names[1] for found in find_entry_points() if found.status.module == module]


def plugin_checks() -> list[PluginCheck]:
    """Checks of a plugin, a module or an object with hooks, and of all that it provides."""
    return [
        is_accepted,
        is_not_empty,
        has_summaries_of_one_line,
        imports_nothing_heavy,
        is_loaded_without_changing_state,
        its_suggesters_pass,
        its_strategies_pass,
        its_steps_pass,
    ]


def is_accepted(plugin: object) -> None:
    """Its hooks exist, its records are valid, and no name is taken."""
    _load(plugin)


def is_not_empty(plugin: object) -> None:
    """It provides something, or is told something."""
    status, _ = _load(plugin)
    assert not status.notes, f"{status.name}: {'; '.join(status.notes)}"


def has_summaries_of_one_line(plugin: object) -> None:
    """`autotune plugins NAME` shows the summary of each record."""
    for record in _load(plugin)[1]:
        lines = record.summary.strip().splitlines()
        assert len(lines) == 1, f"{record.name}: summary is not one line: {record.summary!r}"


def imports_nothing_heavy(plugin: object) -> None:
    """A module imports torch and the like inside its functions: `autotune --help` waits for all plugins."""
    if not isinstance(plugin, types.ModuleType) or plugin.__name__ == "__main__":
        return
    code = f"import sys; sys.path[:] = {sys.path!r}; import {plugin.__name__}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{plugin.__name__}: cannot be imported alone: {done.stderr.strip()[-200:]}"
    found = sorted(set(HEAVY).intersection(done.stdout.split()))
    assert not found, f"{plugin.__name__}: imports {', '.join(found)} at once; import it inside functions"


def is_loaded_without_changing_state(plugin: object) -> None:
    """Its registration hooks leave random state, default dtype and gradient mode as they are."""
    hooks = [getattr(plugin, name) for name in dir(plugin) if name in REGISTRATION_HOOKS]

    def call() -> None:
        for hook in hooks:
            hook()

    changed = changed_state(call)
    assert not changed, f"its hooks change {', '.join(changed)}"


def its_suggesters_pass(plugin: object) -> None:
    """All of ``suggester_checks()``, for each rule."""
    _check(plugin, LRSuggester, suggester_checks())


def its_strategies_pass(plugin: object) -> None:
    """All of ``strategy_checks()``, for each strategy."""
    _check(plugin, BatchSizeStrategy, strategy_checks())


def its_steps_pass(plugin: object) -> None:
    """All of ``step_checks()``, for each step."""
    _check(plugin, TuningStep, step_checks())


def _check(plugin: object, kind: type, checks: Iterable[Callable[[Any], None]]) -> None:
    for record in _load(plugin)[1]:
        for check in checks if isinstance(record, kind) else ():
            check(record)


def _load(plugin: object) -> tuple[PluginStatus, list[Any]]:
    """What became of a plugin, and what it has registered."""
    try:
        with registered(plugin) as registry:
            status = registry.plugins[-1]
            return status, registry.records_of(status)
    except PluginError as error:
        raise AssertionError(str(error)) from error
