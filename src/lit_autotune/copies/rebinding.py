"""Functions, weak references and hooks that a deep copy took over from the original: they are to refer to the copies.

``deepcopy`` shares functions, and so a copy's ``self.loss = lambda x: self.net(x)`` would go on with the original's
network. It drops the hooks and attributes of parameters.
"""

import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from lit_autotune.copies.cleanup import deepcopy
from lit_autotune.internals.tensors import hooks_of

MOST = 10_000
"""Objects that are looked at to see whether a function leads to one that was copied."""

ATOMS = (str, bytes, int, float, complex, type, ModuleType, type(None))

PROXIES = (weakref.ProxyType, weakref.CallableProxyType)

CACHED = type(functools.cache(len))
"""What ``functools.lru_cache`` makes of a function."""


def rebind(copies: Iterable[Any], memo: dict[int, Any]) -> None:
    """Let all that copies hold, and that refers to what was copied, refer to the copies.

    Args:
        copies: The copies.
        memo: That of their ``deepcopy``.
    """
    rebinder = _Rebinder(memo)
    for copied in copies:
        rebinder.rebound(copied)
    rebinder.complete_tensors()


class _Rebinder:
    """Knows the copies of one ``deepcopy``; the methods named after a kind of object make what replaces one."""

    def __init__(self, memo: dict[int, Any]):
        self._memo = memo
        self._known: set[int] = set()
        """Keys of the memo that were looked at."""
        self._copies: set[int] = set()
        self._seen: set[int] = set()
        self._replacements: dict[int, Any] = {}
        self._kept: list[Any] = []
        """What the ids above are of, so that they stay theirs."""
        self._note_copies()

    def _note_copies(self) -> None:
        """Learn which objects are copies: only these may be changed."""
        new = self._memo.keys() - self._known
        self._copies.update(id(self._memo[key]) for key in new if id(self._memo[key]) != key)
        self._known.update(new)

    def rebound(self, value: Any) -> Any:
        """The value with all below it rebound in place, or what has to stand in its place."""
        if isinstance(value, ATOMS):
            return value
        kind = type(value)
        if kind is MethodType:
            self.rebound(value.__self__)
        if kind in _REPLACED:
            return self._replaced(value, kind)
        if kind is tuple or (isinstance(value, tuple) and hasattr(value, "_fields")):
            items = [self.rebound(item) for item in value]
            changed = any(new is not old for new, old in zip(items, value, strict=True))
            return (kind(items) if kind is tuple else kind(*items)) if changed else value
        if id(value) in self._seen or id(value) not in self._copies:
            return value
        self._seen.add(id(value))
        self._rebind_items(value)
        self._rebind_attributes(value)
        return value

    def _replaced(self, value: Any, kind: type) -> Any:
        if id(value) not in self._replacements:
            new = _REPLACED[kind](self, value) if self._leads_to_copies(value) else value
            self._replacements[id(value)] = self._replacements[id(new)] = new
            self._kept += (value, new)
        return self._replacements[id(value)]

    def _rebind_items(self, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in list(value.items()):
                if (new := self.rebound(item)) is not item:
                    value[key] = new
        elif isinstance(value, list | deque):
            for i, item in enumerate(value):
                if (new := self.rebound(item)) is not item:
                    value[i] = new
        elif isinstance(value, set):
            for item in list(value):
                if (new := self.rebound(item)) is not item:
                    value.discard(item)
                    value.add(new)
        elif isinstance(value, functools.partial):
            parts = value.func, value.args, value.keywords
            new_parts = self.rebound(parts)
            if new_parts is not parts:
                value.__setstate__((*new_parts, vars(value)))  # type: ignore[attr-defined]

    def _rebind_attributes(self, value: Any) -> None:
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            for name, item in list(attributes.items()):
                if (new := self.rebound(item)) is not item:
                    attributes[name] = new
        for name, item in slots(value):
            if (new := self.rebound(item)) is not item:
                object.__setattr__(value, name, new)

    def function(self, function: FunctionType) -> Any:
        cells = tuple(CellType() for _ in function.__closure__ or ())
        new = FunctionType(function.__code__, function.__globals__, function.__name__, None, cells)
        self._replacements[id(function)] = new  # a function may refer to itself
        for old, cell in zip(function.__closure__ or (), cells, strict=True):
            if old != CellType():
                cell.cell_contents = self._translated(old.cell_contents)
        new.__defaults__ = self._translated(function.__defaults__)
        new.__kwdefaults__ = self._translated(function.__kwdefaults__)
        new.__dict__.update({name: self._translated(value) for name, value in vars(function).items()})
        new.__qualname__, new.__module__, new.__doc__ = function.__qualname__, function.__module__, function.__doc__
        return new

    def method(self, method: MethodType) -> Any:
        return MethodType(self._translated(method.__func__), self._translated(method.__self__))

    def builtin(self, function: Any) -> Any:
        """A method of a built-in object, such as ``self.seen.append``."""
        return getattr(self._translated(function.__self__), function.__name__)

    def cached(self, cached: Any) -> Any:
        return functools.lru_cache(**cached.cache_parameters())(self._translated(cached.__wrapped__))

    def reference(self, reference: Any) -> Any:
        return weakref.ref(self._translated(reference()), reference.__callback__)

    def weak_method(self, reference: Any) -> Any:
        return weakref.WeakMethod(self._translated(reference()))

    def proxy(self, proxy: Any) -> Any:
        return weakref.proxy(self._translated(_referent(proxy)))

    def _translated(self, value: Any) -> Any:
        """What stands for an original in the world of the copies."""
        if id(value) in self._memo:
            return self._memo[id(value)]
        if type(value) in _REPLACED:
            return self._replaced(value, type(value))
        return self._copied(value) if self._leads_to_copies(value) else value

    def _copied(self, value: Any) -> Any:
        new = deepcopy(value, self._memo)
        self._note_copies()
        return self.rebound(new)

    def _leads_to_copies(self, value: Any) -> bool:
        """Whether it refers to an object that was copied, however indirectly."""
        pending, seen = [value, *_references(value)], {id(value)}
        while pending and len(seen) < MOST:
            value = pending.pop()
            if id(value) in self._memo:
                if self._memo[id(value)] is not value:
                    return True
                continue
            if isinstance(value, ATOMS) or id(value) in seen or id(value) in self._copies:
                continue
            seen.add(id(value))
            pending.extend(_references(value))
        return False

    def complete_tensors(self) -> None:
        """Give copied tensors the hooks and attributes of the originals."""
        import torch

        for original in list(self._memo.get(id(self._memo), ())):
            if isinstance(original, torch.Tensor) and original.is_leaf:
                copied = self._memo.get(id(original), original)
                if copied is not original:
                    self._complete(original, copied)

    def _complete(self, original: Any, copied: Any) -> None:
        for name, value in vars(original).items():
            if name not in vars(copied):
                setattr(copied, name, self._copied(value))
        if copied.requires_grad:
            for register, hooks in hooks_of(original, copied):
                for hook in hooks:
                    register(self._translated(hook))


def slots(value: Any) -> Iterator[tuple[str, Any]]:
    """Attributes that are kept in slots."""
    for cls in type(value).__mro__:
        names = getattr(cls, "__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def _references(value: Any) -> Iterator[Any]:
    """What a value refers to directly."""
    if type(value) in PROXIES:  # a proxy is an instance of what it stands for
        yield _referent(value)
        return
    if isinstance(value, FunctionType):
        yield from (cell.cell_contents for cell in value.__closure__ or () if cell != CellType())
        yield from (value.__defaults__, value.__kwdefaults__)
    elif isinstance(value, MethodType | BuiltinFunctionType):
        yield value.__self__
        yield getattr(value, "__func__", None)
    elif isinstance(value, weakref.ref):
        yield value()
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, dict):
        yield from list(value.values())
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from list(value)
    yield from getattr(value, "__dict__", {}).values()
    yield from (item for _, item in slots(value))


def _referent(proxy: Any) -> Any:
    try:
        return proxy.__setattr__.__self__  # the proxy itself has none that can be asked for
    except ReferenceError:
        return None


_REPLACED: dict[type, Callable[[_Rebinder, Any], Any]] = {
    FunctionType: _Rebinder.function,
    MethodType: _Rebinder.method,
    BuiltinFunctionType: _Rebinder.builtin,
    CACHED: _Rebinder.cached,
    weakref.ref: _Rebinder.reference,
    weakref.WeakMethod: _Rebinder.weak_method,
    **dict.fromkeys(PROXIES, _Rebinder.proxy),
}
"""What is not changed but replaced."""
