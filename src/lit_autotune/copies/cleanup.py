"""Deep copies that do not clean up at their end what is the original's: its files, its folders, its connections."""

import contextlib
import copy
import functools
from collections.abc import Callable
from typing import Any

HEAP_TYPE = 1 << 9
"""CPython's flag of types that were made at run time, as all Python classes are."""


def deepcopy(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy; neither it nor what is left of one that failed has a ``__del__`` that does anything."""
    try:
        return copy.deepcopy(value, memo)
    finally:
        for key, copied in memo.items():
            if key != id(copied):
                _silence(copied)


def _silence(copied: Any) -> None:
    kind: Any = type(copied)
    if hasattr(kind, "__del__") and kind.__flags__ & HEAP_TYPE:
        # What cannot have another class has its reasons, and is left alone.
        with contextlib.suppress(TypeError):
            copied.__class__ = _silent_class(kind)


@functools.cache
def _silent_class(cls: Any) -> Any:
    def reduced(self: Any, protocol: Any) -> Any:
        how, arguments, *rest = super(silent, self).__reduce_ex__(protocol)
        # Another process knows the user's class only.
        return _made, (how, *(cls if argument is silent else argument for argument in arguments)), *rest

    members = {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    silent = type(cls)(cls.__name__, (cls,), {**members, "__del__": lambda self: None, "__reduce_ex__": reduced})
    return silent


def _made(how: Callable[..., Any], *arguments: Any) -> Any:
    return how(*arguments)
