"""Data that copies share: with each other, and with the user's objects only where they are too large to be copied once.

A ``setup`` may scale the very tensor that the datamodule was given, and must not do so to the user's.
"""

import copy
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from lit_autotune.internals.tensors import version
from lit_autotune.memory.budget import find_budget
from lit_autotune.memory.process import resident

MOST_SHARE = 0.1
"""Of the free memory: data that take more are not copied."""

CONSTANTS = {str, bytes, int, float, bool, type(None), type(Path())}

SAMPLES = 100
"""Items of a container that are measured, and elements of an array that are compared."""


class SharedData:
    """Decides what stands for the user's data in copies.

    Attributes:
        is_kept: Whether copies share data with each other. Otherwise each gets data of its own.
    """

    def __init__(self) -> None:
        self.is_kept = True
        self._copies: dict[int, Any] = {}
        self._memo: dict[int, Any] = {}
        self._room: int | None = None
        self._watched: dict[int, tuple[str, Any, Any]] = {}
        """What copies share with the user's objects, its name, and what it looked like, by id."""
        self._looks: dict[int, Any] = {}
        """What data looked like after the run before, by id."""

    def begin_copy(self) -> None:
        """Note that another copy is about to be made."""
        if not self.is_kept:
            self._copies, self._memo, self._room = {}, {}, None

    def stand_in(self, name: str, value: Any) -> Any:
        """What copies get for some data of the user's, or of an earlier copy's.

        Args:
            name: What to call it.
            value: The data.
        """
        if id(value) not in self._copies:
            new = self._copied(value)
            if new is value:
                self._watched.setdefault(id(value), (name, value, fingerprint(value)))
            self._copies[id(value)] = self._copies[id(new)] = new
        return self._copies[id(value)]

    def adopt(self, name: str, value: Any) -> Any:
        """Data that belong to copies already, made in their ``setup``: later copies share them."""
        self._copies[id(value)] = value
        return value

    def changes_between_runs(self) -> bool:
        """Whether data that copies share have changed since the last time this was asked."""
        before = self._looks
        self._looks = {id(value): fingerprint(value) for value in self._copies.values()}
        return any(before.get(key, look) != look for key, look in self._looks.items())

    def _copied(self, value: Any) -> Any:
        if not _can_change(value):
            return value
        size = data_bytes(value)
        if self._room is None:
            self._room = int(MOST_SHARE * _free_memory())
        if size > self._room:
            return value
        try:
            new = copy.copy(value) if _holds_constants(value) else copy.deepcopy(value, self._memo)
        except Exception:  # it has a say in its copying, and refuses
            return value
        self._room -= size
        return new

    def changed(self) -> str | None:
        """The name of some data of the user's that have changed, if any have."""
        return next((name for name, value, before in self._watched.values() if fingerprint(value) != before), None)


def _free_memory() -> int:
    import torch

    budget = find_budget(torch.device("cpu"), "auto", 0)
    return max(0, budget.limit - resident()) if budget else 0


def _can_change(value: Any) -> bool:
    """Whether anybody could write into it."""
    flags = getattr(value, "flags", None)
    return not isinstance(value, bytes) and getattr(flags, "writeable", True) is not False


def _holds_constants(value: Any) -> bool:
    """Whether it is a container of what cannot change, such as paths with labels: copied in no time."""
    if isinstance(value, dict):
        return all(map(_is_constant, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and all(map(_is_constant, value))


def _is_constant(value: Any) -> bool:
    return type(value) in CONSTANTS or (type(value) is tuple and all(map(_is_constant, value)))


def data_bytes(value: Any) -> int:
    """Memory that data take, in bytes; of long containers as far as a sample of their items tells."""
    if isinstance(value, Mapping):
        return _container_bytes(value, (part for item in islice(value.items(), SAMPLES) for part in item))
    if isinstance(value, list | tuple | set | frozenset):
        return _container_bytes(value, islice(value, SAMPLES))
    if hasattr(value, "memory_usage") and hasattr(value, "columns"):
        return int(value.memory_usage().sum())
    size = getattr(value, "nbytes", None)
    return int(size) if isinstance(size, int) else sys.getsizeof(value)


def _container_bytes(value: Any, sample: Iterator[Any]) -> int:
    items = list(sample)
    return sys.getsizeof(value) + sum(map(data_bytes, items)) * len(value) // max(1, min(len(value), SAMPLES))


def fingerprint(value: Any) -> Any:
    """What changes when somebody writes into data: a tensor's version, a sample of other data's elements."""
    if hasattr(value, "_version") and hasattr(value, "data_ptr"):
        return version(value)
    if isinstance(value, Mapping):
        return len(value), *_looks(value.keys()), *_looks(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return len(value), *_looks(value)
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return value.shape, [str(name) for name in value.columns], repr(value.iloc[:: max(1, len(value) // SAMPLES)])
    if hasattr(value, "__array__") and hasattr(value, "ravel") and hasattr(value, "size"):
        return value.shape, str(value.dtype), value.ravel()[:: max(1, value.size // SAMPLES)].tobytes()
    return len(value) if hasattr(value, "__len__") else None


def _looks(items: Iterable[Any]) -> Iterator[int]:
    return (version(item) if hasattr(item, "_version") else id(item) for item in islice(items, SAMPLES))
