"""Deep copies of user objects that share data instead of doubling it.

A trial runs on copies so that nothing it does reaches the user's objects. Copying a data set for each trial would
cost time and memory, so what is *data* (arrays, tables, long lists) is shared: training only reads it. What is
*state* (hyperparameters, counters, generators) is copied.
"""

import copy
import functools
import numbers
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CellType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

from lit_autotune.errors import ConfigError
from lit_autotune.internals.loops import running_iterator

LONG = 10_000
"""A list, tuple, set or dictionary with more items than this is data, not state."""

HEAP_TYPE = 1 << 9
"""CPython's flag of types that were made at run time, as all Python classes are."""

COPY_HOOKS = ("__deepcopy__", "__getnewargs__", "__getnewargs_ex__")

ATOMS = (str, bytes, numbers.Number, type, ModuleType, FunctionType, BuiltinFunctionType, type(None))


def share_data(value: object, name: str, memo: dict[int, Any], skip: set[int]) -> None:
    """Enter all data below a value into a memo for ``copy.deepcopy``, which then shares it.

    Objects that cannot be copied at all (locks, open files, database handles) are shared, too. A running generator
    is refused, for the trials would use it up.

    Args:
        value: The object to be copied.
        name: What to call it in error messages.
        memo: The memo; entries already in it are respected.
        skip: Ids of objects not to look into.

    Raises:
        ConfigError: If a generator is met; names the attribute.
    """
    import torch
    from torch.utils.data import DataLoader

    pending: list[tuple[str, Any]] = [(name, value)]
    seen = set(skip)
    while pending:
        name, value = pending.pop()
        if id(value) in memo or id(value) in seen or isinstance(value, ATOMS):
            continue
        seen.add(id(value))
        if isinstance(value, GeneratorType):
            raise ConfigError(
                f"{name} is a running generator, which trials would use up; keep the function that makes it instead"
            )
        if isinstance(value, torch.nn.Module):
            continue
        if isinstance(value, DataLoader):
            memo[id(running_iterator(value))] = None  # workers that run are the original's
        if _is_data(value) or not _is_copyable(value):
            memo[id(value)] = value
        else:
            pending.extend(_children(name, value))


def find_uncopyable(
    value: Any, name: str, memo: dict[int, Any], seen: set[int] | None = None
) -> tuple[str, Any] | None:
    """The innermost object that keeps a value from being deep-copied, with its name; ``None`` if nothing does.

    Args:
        value: The value.
        name: What to call it.
        memo: What is shared anyway.
        seen: Ids of objects that were looked into already.
    """
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, ATOMS):
        return None
    seen.add(id(value))
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:
        inner = (find_uncopyable(child, path, memo, seen) for path, child in _children(name, value))
        return next((found for found in inner if found), (name, value))
    return None


def detach_results(module: Any, memo: dict[int, Any]) -> None:
    """Let ``deepcopy`` copy a network that keeps tensors of an earlier step's graph, which it refuses by itself."""
    import torch

    for submodule in module.modules():
        for value in vars(submodule).values():
            for item in value if isinstance(value, list | tuple) else (value,):
                if isinstance(item, torch.Tensor) and not item.is_leaf:
                    memo[id(item)] = item.detach().clone()


def rebind_functions(module: Any, memo: dict[int, Any]) -> None:
    """Let functions that a copied network keeps, and that refer to what was copied, refer to the copies.

    ``deepcopy`` shares functions: a hook such as ``lambda *_: self.seen.append(1)`` would go on with the original.

    Args:
        module: The copy.
        memo: That of its ``deepcopy``.
    """
    for submodule in module.modules():
        for values in (vars(submodule), *(value for value in vars(submodule).values() if isinstance(value, dict))):
            for key, value in values.items():
                values[key] = _rebound(value, memo)


def _rebound(function: Any, memo: dict[int, Any]) -> Any:
    if type(function) is functools.partial:
        return functools.partial(_rebound(function.func, memo), *function.args, **function.keywords)
    if not isinstance(function, FunctionType):
        return function
    cells = function.__closure__ or ()
    contents = [cell.cell_contents if cell != CellType() else None for cell in cells]
    if not any(id(content) in memo and memo[id(content)] is not content for content in contents):
        return function
    bound = tuple(
        CellType(memo[id(content)]) if id(content) in memo else cell
        for cell, content in zip(cells, contents, strict=True)
    )
    new = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, bound)
    new.__kwdefaults__ = function.__kwdefaults__
    new.__dict__.update(function.__dict__)
    return new


def _is_data(value: Any) -> bool:
    """Whether it is an array, tensor, table, image or buffer, or a long container."""
    if isinstance(value, list | tuple | set | frozenset | dict):
        return len(value) > LONG
    return hasattr(value, "shape") or hasattr(value, "__array__") or isinstance(value, bytearray | memoryview)


def _children(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"{name}[{key!r}]", child) for key, child in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"{name}[{i}]", child) for i, child in enumerate(value))
    elif isinstance(value, MethodType):
        yield name, value.__self__
    yield from ((f"{name}.{key}", child) for key, child in getattr(value, "__dict__", {}).items())
    for cls in type(value).__mro__:
        slots = getattr(cls, "__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, slot):
                yield f"{name}.{slot}", getattr(value, slot)


def _is_copyable(value: Any) -> bool:
    """Whether a single object can be copied, whatever it holds.

    Containers and plain objects of Python classes can. Where a class has a say in its copying, or is made in C, it
    takes a try. What is closed or cleans up after itself must not be doubled: the copy would close the original.
    """
    if isinstance(value, list | tuple | set | frozenset | dict):
        return True
    kind = type(value)
    if hasattr(kind, "__del__") or (hasattr(kind, "__enter__") and hasattr(kind, "close")):
        return False
    custom = any(hasattr(kind, name) for name in COPY_HOOKS) or any(
        getattr(kind, name) is not getattr(object, name) for name in ("__reduce__", "__reduce_ex__")
    )
    if not custom and kind.__flags__ & HEAP_TYPE and isinstance(getattr(value, "__dict__", None), dict):
        return True
    try:
        copy.deepcopy(value)
    except Exception:  # foreign __reduce__ and __deepcopy__ methods raise anything
        return False
    return True
