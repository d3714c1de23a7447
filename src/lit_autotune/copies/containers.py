"""What users keep settings in: reading, changing and walking through modules, mappings, records and partials."""

import copy
import dataclasses
import functools
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from types import MethodType
from typing import Any

from pydantic import BaseModel

from lit_autotune.copies.ready_optimizers import is_optimizer, set_rate, template_rate

MAX_DEPTH = 4
FOREIGN = ("torch", "lightning", "pytorch_lightning", "torchmetrics", "numpy", "pandas", "sklearn", "builtins")
ARGUMENTS = "keywords"
"""A partial's arguments by name."""


def walk(
    value: object, path: tuple[str, ...] = (), seen: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """The object itself and all that it keeps settings in, under every path but in no circle."""
    if id(value) in seen or len(path) - path.count(ARGUMENTS) > MAX_DEPTH:
        return
    yield path, value
    for name, child in children(value).items():
        if _holds_settings(child):
            yield from walk(child, (*path, name), seen | {id(value)})


def children(value: object) -> dict[str, object]:
    """What an object holds by name, as far as it can be read."""
    if isinstance(value, Mapping):
        names = [key for key in value if isinstance(key, str)]
    elif is_partial(value):
        names = [ARGUMENTS]
    else:
        slots = (getattr(cls, "__slots__", ()) for cls in type(value).__mro__)
        own = [name for some in slots for name in ((some,) if isinstance(some, str) else some)]
        own += [*getattr(value, "__dict__", {}), *getattr(value, "_fields", ())]
        names = [name for name in own if not name.startswith("_") or is_partial(getattr(value, name, None))]
        if hasattr(type(value), "hparams"):
            names.append("hparams")
    found: dict[str, object] = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = get(value, name)
        except LookupError:  # not set yet, or a reference that leads nowhere
            continue
    return found


def is_partial(value: object) -> bool:
    """Whether it is a ``functools.partial``, or a method made of one, as LightningCLI puts it into a module."""
    return isinstance(value.__func__ if isinstance(value, MethodType) else value, functools.partial)


def _holds_settings(value: object) -> bool:
    """Mappings, config records and the user's own plain objects do; tensors, networks, data sets do not."""
    if isinstance(value, type):
        return False
    if isinstance(value, Mapping | BaseModel) or dataclasses.is_dataclass(value) or is_partial(value):
        return True
    if isinstance(value, tuple) or callable(value):
        return hasattr(value, "_fields")
    bases = [cls for cls in type(value).__mro__ if cls is not object]
    if not hasattr(value, "__dict__") and not any("__slots__" in vars(cls) for cls in bases):
        return False
    if any(cls.__name__ == "LightningDataModule" for cls in bases):
        return True
    return not any(cls.__module__.partition(".")[0] in FOREIGN for cls in bases)


def get(container: Any, name: str) -> Any:
    """What a container holds under a name.

    Raises:
        LookupError: If there is nothing, or it cannot be read.
    """
    try:
        if isinstance(container, Mapping):
            return container[name]
        return template_rate(container) if name == "lr" and is_optimizer(container) else getattr(container, name)
    except Exception:  # properties, references and missing values may raise anything
        raise LookupError(name) from None


def set_path(container: Any, path: tuple[str, ...], value: Any) -> None:
    """Change what lies at a path. What is frozen on the way, or a partial, is replaced by a changed copy of itself."""
    name, *rest = path
    if not rest:
        _set(container, name, value)
        return
    child = get(container, name)
    if is_optimizer(child):
        set_rate(child, children(container).values(), value)
    elif isinstance(child, functools.partial):
        # Others may have the same one: an argument's default is that of all instances.
        set_path(container, (name,), _replaced(child, tuple(rest), value))
    else:
        try:
            set_path(child, tuple(rest), value)
        except Exception:  # configuration libraries have exceptions of their own
            _set(container, name, _replaced(child, tuple(rest), value))


def _set(container: Any, name: str, value: Any) -> None:
    if isinstance(container, MutableMapping):
        container[name] = value
    else:
        setattr(container, name, value)


def _replaced(record: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of a partial, a frozen record or a read-only configuration with one value changed, at any depth.

    Raises:
        TypeError: If it is neither, so that the value cannot be changed at all.
    """
    if isinstance(record, functools.partial):
        copied = type(record)(record.func, *record.args, **record.keywords)
        vars(copied).update(vars(record))
        set_path(copied, path, value)
        return copied
    name, *rest = path
    new = _replaced(get(record, name), tuple(rest), value) if rest else value
    if isinstance(record, BaseModel):
        fields = {key: getattr(record, key) for key in type(record).model_fields}
        return type(record).model_validate({**fields, name: new})
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return dataclasses.replace(record, **{name: new})
    if hasattr(type(record), "__attrs_attrs__"):
        return sys.modules["attr"].evolve(record, **{name: new})
    if isinstance(record, tuple) and hasattr(record, "_replace"):
        return record._replace(**{name: new})
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf and isinstance(record, omegaconf.DictConfig):
        config: Any = copy.deepcopy(record)
        with omegaconf.read_write(config):
            config[name] = new
        return config
    raise TypeError(f"{name} of {type(record).__name__} is read-only")
