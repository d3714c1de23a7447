"""Where users keep the batch size and the learning rate: finding, reading and writing it.

A place is an owner (``module`` or ``datamodule``) and a path of attribute names and mapping keys. Paths, not objects,
so that a place found on the user's objects is also good for copies of them.
"""

import dataclasses
import numbers
import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from pydantic import BaseModel

from lit_autotune._shared.text import did_you_mean
from lit_autotune.errors import ConfigError
from lit_autotune.internals.objects import logged_hyperparameters

BATCH_SIZE_NAMES = ("batch_size", "train_batch_size")
LEARNING_RATE_NAMES = ("lr", "learning_rate")
MAX_DEPTH = 4
FOREIGN = ("torch", "lightning", "pytorch_lightning", "torchmetrics", "numpy", "pandas", "sklearn", "builtins")

Owners = Mapping[str, object]
"""The user's objects by role: ``{"module": ..., "datamodule": ...}``; an absent one is left out."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """One place that holds a setting, e.g. ``module.hparams.optimizer.lr``."""

    owner: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.owner, *self.path))


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """All places that hold one setting, and the value they agree on (``None`` if it is not set yet)."""

    places: tuple[Place, ...]
    value: Any

    def __str__(self) -> str:
        return ", ".join(str(place) for place in self.places)


def find_setting(owners: Owners, names: tuple[str, ...], explicit: str | None, field: str) -> Setting:
    """Find the places of a setting.

    Args:
        owners: The user's objects. The order is the order of preference.
        names: Names that users give it.
        explicit: The dotted place the user named, if they did.
        field: The config field that names the place, for error messages.

    Raises:
        ConfigError: If there is none, or several that disagree; lists what was found.
    """
    candidates = _candidates(owners, names)
    if explicit is not None:
        return _named_setting(owners, explicit, candidates, field)
    if not candidates:
        where = " or ".join(owners)
        raise ConfigError(f"no {' or '.join(names)} found in the {where}; add one, or name its place with {field}")
    # None is a placeholder for "to be tuned", and no competitor of a number
    chosen = {place: value for place, value in candidates.items() if value is not None} or candidates
    if len(set(chosen.values())) > 1:
        listed = ", ".join(f"{place} = {value!r}" for place, value in chosen.items())
        raise ConfigError(f"several places disagree: {listed}; name the right one with {field}")
    return Setting(tuple(chosen), next(iter(chosen.values())))


def find_batch_size(owners: Owners, explicit: str | None, field: str = "batch_size_attribute") -> Setting:
    """Find the places of the batch size, first those of the datamodule; see :func:`find_setting`."""
    return find_setting(dict(reversed(list(owners.items()))), BATCH_SIZE_NAMES, explicit, field)


def _named_setting(owners: Owners, explicit: str, candidates: dict[Place, Any], field: str) -> Setting:
    path = tuple(re.findall(r"[^.\[\]'\"]+", explicit))
    owner_names = list(owners)
    if len(path) > 1 and path[0] in owners:
        owner_names, path = [path[0]], path[1:]
    found: dict[Place, Any] = {}
    for owner in owner_names:
        # save_hyperparameters() keeps a second copy under hparams, which loggers show
        for place in (Place(owner, path), Place(owner, ("hparams", *path))):
            try:
                value = read(owners, place)
            except LookupError:
                continue
            if _is_number(value) or value is None:
                found.setdefault(place, value)
    if not found:
        known = {str(place): place for place in candidates}
        listed = f"; known are {', '.join(known)}" if known else ""
        raise ConfigError(f"{field} = {explicit!r}: no such number{did_you_mean(explicit, known)}{listed}")
    value = next((value for value in found.values() if value is not None), None)
    # A name alone stands for all that bear it, as Lightning reads it; a place for itself and a copy in step with it.
    is_name = len(path) == 1 and len(owner_names) == len(owners) and path[0] == explicit
    return Setting(tuple(place for place in found if is_name or found[place] == value), value)


def _candidates(owners: Owners, names: tuple[str, ...]) -> dict[Place, Any]:
    """Every place with one of the names that holds a number or ``None``."""
    found: dict[Place, Any] = {}
    for owner, root in owners.items():
        for path, container in _containers(root):
            for name in names:
                place = Place(owner, (*path, name))
                try:
                    value = _get(container, name)
                except LookupError:
                    continue
                if _is_number(value) or value is None:
                    found[place] = value
    return found


def _containers(
    value: object, path: tuple[str, ...] = (), seen: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """The object itself and all that it keeps settings in, under every path but in no circle."""
    if id(value) in seen or len(path) > MAX_DEPTH:
        return
    yield path, value
    for name, child in _children(value).items():
        if _holds_settings(child):
            yield from _containers(child, (*path, name), seen | {id(value)})


def _children(value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        return {key: child for key, child in value.items() if isinstance(key, str)}
    names = [
        *getattr(value, "__dict__", {}),
        *(getattr(value, "__slots__", ()) if dataclasses.is_dataclass(value) else ()),
    ]
    children = {name: getattr(value, name, None) for name in names if not name.startswith("_")}
    if hasattr(type(value), "hparams"):
        children["hparams"] = value.hparams  # type: ignore[attr-defined]
    return children


def _holds_settings(value: object) -> bool:
    """Mappings, config records and the user's own plain objects do; tensors, networks, data sets do not."""
    if isinstance(value, Mapping | BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return True
    if isinstance(value, type) or not hasattr(value, "__dict__") or callable(value):
        return False
    bases = [cls for cls in type(value).__mro__ if cls is not object]
    if any(cls.__name__ == "LightningDataModule" for cls in bases):
        return True
    return not any(cls.__module__.partition(".")[0] in FOREIGN for cls in bases)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def read(owners: Owners, place: Place) -> Any:
    """The value at a place.

    Raises:
        LookupError: If there is no such place.
    """
    value: Any = owners[place.owner]
    for name in place.path:
        value = _get(value, name)
    return value


def write(owners: Owners, place: Place, value: Any) -> None:
    """Set the value at a place. A frozen record on the way is replaced by a changed copy of itself.

    The copy of the hyperparameters that Lightning sends to loggers is kept in step.

    Raises:
        ConfigError: If the place is read-only.
    """
    owner = owners[place.owner]
    old = read(owners, place)
    try:
        _set_path(owner, place.path, value)
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"{place} cannot be set to {value!r}: {' '.join(str(error).split())}") from error
    logged = logged_hyperparameters(owner)
    path = place.path[1:] if place.path[0] == "hparams" else place.path
    try:
        holds_old = logged is not None and read({"": logged}, Place("", path)) == old
    except LookupError:
        return
    if holds_old:
        _set_path(logged, path, value)


def _set_path(container: Any, path: tuple[str, ...], value: Any) -> None:
    name, *rest = path
    if not rest:
        _set(container, name, value)
        return
    child = _get(container, name)
    try:
        _set_path(child, tuple(rest), value)
    except (AttributeError, TypeError, ValueError):
        _set(container, name, _replaced(child, tuple(rest), value))


def _replaced(record: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of a frozen record with one value changed, at any depth.

    Raises:
        TypeError: If it is no record, so that the value cannot be changed at all.
    """
    name, *rest = path
    new = _replaced(_get(record, name), tuple(rest), value) if rest else value
    if isinstance(record, BaseModel):
        fields = {key: getattr(record, key) for key in type(record).model_fields}
        return type(record).model_validate({**fields, name: new})
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return dataclasses.replace(record, **{name: new})
    raise TypeError(f"{name} of {type(record).__name__} is read-only")


def _get(container: Any, name: str) -> Any:
    if isinstance(container, Mapping):
        if name in container:
            return container[name]
        raise LookupError(name)
    try:
        return getattr(container, name)
    except Exception:  # a property of the user's may raise anything, e.g. while no trainer is attached
        raise LookupError(name) from None


def _set(container: Any, name: str, value: Any) -> None:
    if isinstance(container, MutableMapping):
        container[name] = value
    else:
        setattr(container, name, value)


Values = Mapping[Setting, Any]
