"""A registry in another process: plugins are loaded there anew, for no pickle takes their functions."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple


class ModuleNamed(NamedTuple):
    """Stands for a module, which cannot be pickled."""

    name: str


def sendable(plugin: object) -> object:
    """What to pickle of a plugin that was registered by hand."""
    return ModuleNamed(plugin.__name__) if isinstance(plugin, ModuleType) else plugin


def loaded_again(kind: type[Any], blocked: Iterable[str], registered: Sequence[tuple[object, str]]) -> Any:
    """A registry with what that of the other process has."""
    registry = kind.load(blocked)
    for plugin, name in registered:
        registry.register(import_module(plugin.name) if isinstance(plugin, ModuleNamed) else plugin, name)
    return registry
