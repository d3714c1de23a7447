"""Where users keep the batch size and the learning rate: finding, reading and writing it.

A place is an owner (``module`` or ``datamodule``) and a path of attribute names and mapping keys. Paths, not objects,
so that a place found on the user's objects is also good for copies of them.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from lit_autotune._shared.text import did_you_mean
from lit_autotune.copies.containers import children, get, set_path, walk
from lit_autotune.copies.near_misses import near_misses
from lit_autotune.copies.numeric import as_number, in_kind
from lit_autotune.copies.ready_optimizers import is_optimizer, template_rate
from lit_autotune.errors import ConfigError
from lit_autotune.internals.objects import logged_hyperparameters

BATCH_SIZE_NAMES = ("batch_size", "train_batch_size")
LEARNING_RATE_NAMES = ("lr", "learning_rate")
PEAK_NAMES = ("max_lr", "peak_lr", "max_learning_rate", "peak_learning_rate")

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

    @property
    def size(self) -> int | None:
        """The value as a batch size; ``None`` if it is not one yet."""
        return int(self.value) if self.value is not None and self.value >= 1 else None

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
        return _named_setting(owners, explicit, candidates, names, field)
    if not candidates:
        where = " or ".join(owners)
        near = near_misses(owners, names)
        raise ConfigError(
            f"no {' or '.join(names)} found in the {where}{near}; add one, or name its place with {field}"
        )
    # None is a placeholder for "to be tuned", and no competitor of a number
    chosen = {place: value for place, value in candidates.items() if value is not None} or candidates
    if len(set(chosen.values())) > 1:
        listed = ", ".join(f"{place} = {value!r}" for place, value in chosen.items())
        raise ConfigError(f"several places disagree: {listed}; name the right one with {field}")
    return Setting(tuple(chosen), next(iter(chosen.values())))


def find_batch_size(owners: Owners, explicit: str | None, field: str = "batch_size_attribute") -> Setting:
    """Find the places of the batch size, first those of the datamodule; see :func:`find_setting`."""
    return find_setting(dict(reversed(list(owners.items()))), BATCH_SIZE_NAMES, explicit, field)


def _named_setting(
    owners: Owners, explicit: str, candidates: dict[Place, Any], names: tuple[str, ...], field: str
) -> Setting:
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
            if value is None or as_number(value) is not None:
                found.setdefault(place, as_number(value))
    if not found:
        known = {str(place): place for place in candidates}
        listed = f"; known are {', '.join(known)}" if known else near_misses(owners, names)
        raise ConfigError(f"{field} = {explicit!r}: no such number{did_you_mean(explicit, known)}{listed}")
    value = next((value for value in found.values() if value is not None), None)
    # A name alone stands for all that bear it, as Lightning reads it; a place for itself and a copy in step with it.
    is_name = len(path) == 1 and len(owner_names) == len(owners) and path[0] == explicit
    return Setting(tuple(place for place in found if is_name or found[place] == value), value)


def _candidates(owners: Owners, names: tuple[str, ...]) -> dict[Place, Any]:
    """Every place with one of the names that holds a number or ``None``, and the number.

    Another spelling counts where there is none, and a rate that only a ready optimizer knows where there is no other,
    unless LightningCLI has put that optimizer in the place of the module's own.
    """
    ready = _ready_optimizers(owners) if names is LEARNING_RATE_NAMES else {}
    put = {place: rate for place, rate in ready.items() if place.path[0] == "configure_optimizers"}
    return put or _named(owners, names) or _named(owners, tuple(map(str.upper, names)) + _camel(names)) or ready


def _named(owners: Owners, names: tuple[str, ...]) -> dict[Place, Any]:
    found: dict[Place, Any] = {}
    for owner, root in owners.items():
        for path, container in walk(root):
            for name in names:
                try:
                    value = get(container, name)
                except LookupError:
                    continue
                if value is None or as_number(value) is not None:
                    found[Place(owner, (*path, name))] = as_number(value)
    return found


def _camel(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(re.sub("_(.)", lambda match: match[1].upper(), name) for name in names if "_" in name)


def _ready_optimizers(owners: Owners) -> dict[Place, Any]:
    return {
        Place(owner, (*path, name, "lr")): template_rate(child)
        for owner, root in owners.items()
        for path, container in walk(root)
        for name, child in children(container).items()
        if is_optimizer(child)
    }


def read(owners: Owners, place: Place) -> Any:
    """The value at a place.

    Raises:
        LookupError: If there is no such place.
    """
    value: Any = owners[place.owner]
    for name in place.path:
        value = get(value, name)
    return value


def write(owners: Owners, place: Place, value: Any) -> None:
    """Set the value at a place. A frozen record or a partial on the way is replaced by a changed copy of itself.

    The copy of the hyperparameters that Lightning sends to loggers is kept in step.

    Raises:
        ConfigError: If the place is read-only.
    """
    owner = owners[place.owner]
    old = read(owners, place)
    value = in_kind(old, value)
    try:
        set_path(owner, place.path, value)
    except Exception as error:  # configuration libraries have exceptions of their own
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{place} cannot be set to {value!r}: {reason}; let it be changed, or keep it elsewhere"
        ) from error
    logged = logged_hyperparameters(owner)
    path = place.path[1:] if place.path[0] == "hparams" else place.path
    try:
        holds_old = logged is not None and read({"": logged}, Place("", path)) == old
    except LookupError:
        return
    if holds_old:
        set_path(logged, path, value)


Values = Mapping[Setting, Any]
