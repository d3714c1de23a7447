"""Which keys of a composed configuration make the objects, and which ones a place in them is made from."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lit_autotune.copies.attributes import Place, read
from lit_autotune.copies.numeric import as_number
from lit_autotune.errors import ConfigError
from lit_autotune.internals.packages import lightning_class
from lit_autotune.tuning.config_keys import Key, named, other

TARGET = "_target_"
BASES = {"module": "LightningModule", "datamodule": "LightningDataModule", "trainer": "Trainer"}
USUAL = {
    "module": ("model", "module", "lit_module", "system", "task"),
    "datamodule": ("data", "datamodule", "data_module", "dm"),
    "trainer": ("trainer",),
}
"""What the keys are mostly called; asked where the classes do not tell, as with a function that makes the object."""


class HydraKey(NamedTuple):
    """A key that a setting is made from.

    Attributes:
        path: The key.
        is_new: Whether the configuration does not have it yet, so that its class's default is in force.
    """

    path: Key
    is_new: bool = False

    def __str__(self) -> str:
        return ".".join(self.path)

    def override(self, value: float) -> str:
        """The word for Hydra's command line."""
        return f"{'+' if self.is_new else ''}{self}={value!r}"


def find_sections(config: Any, class_of: Callable[[str], type | None]) -> dict[str, Key]:
    """The keys of module, datamodule and Trainer, by role, known by the class that ``_target_`` names.

    Args:
        config: A composed configuration.
        class_of: Gives the class that a ``_target_`` names, ``None`` if it names none, or raises ``ConfigError``.

    Raises:
        ConfigError: If there are several, and none is called as usual.
    """
    found: dict[str, list[Key]] = {role: [] for role in BASES}
    made: dict[str, list[Key]] = {role: [] for role in BASES}
    for key, name in _targets(config):
        is_usual = any(key[-1] in names for names in USUAL.values())
        if len(key) > 1 and not is_usual:
            continue  # callbacks, loggers and such: nothing is imported for a look at them
        try:
            target = class_of(name)
        except ConfigError:
            if is_usual:
                raise
            continue  # something else of the project's, which may never be made
        for role, base in BASES.items():
            if target and lightning_class(target, base):
                found[role].append(key)
            elif not target and key[-1] in USUAL[role]:
                made[role].append(key)
    sections = {role: _one_of(role, keys or made[role]) for role, keys in found.items()}
    return {role: key for role, key in sections.items() if key is not None}


def _targets(node: Any, path: Key = ()) -> Iterator[tuple[Key, str]]:
    from omegaconf import DictConfig, OmegaConf

    if TARGET in node:
        yield path, str(node[TARGET])
        return
    for name in node:
        is_there = not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name)
        if is_there and isinstance(child := node[name], DictConfig) and child:
            yield from _targets(child, (*path, str(name)))


def _one_of(role: str, keys: list[Key]) -> Key | None:
    usual = [key for name in USUAL[role] for key in keys if key[-1] == name]
    if len(keys) < 2 or usual:
        return next(iter(usual or keys), None)
    listed = ", ".join(".".join(key) for key in keys)
    raise ConfigError(f"several keys make a {BASES[role]}: {listed}; call the one to tune {USUAL[role][0]}")


class KeyFinder:
    """Finds the keys that settings come from.

    A key counts if the place is named after it and both hold the same number. Where the names differ, or the key is not
    there yet, it is proven: objects made with another value under that key have that value in that place.

    Args:
        config: The composed configuration.
        sections: See :func:`find_sections`.
        make: Makes module and datamodule, by role, of a changed configuration.
    """

    def __init__(self, config: Any, sections: Mapping[str, Key], make: Callable[[Any], Mapping[str, Any]]):
        self._config, self._sections, self._make = config, sections, make
        self._numbers = dict(_numbers(config))

    def find(self, places: Sequence[str], old: float | None) -> list[HydraKey]:
        """The keys that the value in some places comes from; none if that cannot be told."""
        parsed = [Place(owner, tuple(path)) for owner, *path in (place.split(".") for place in places)]
        if parsed and parsed[0].owner == "trainer":
            key = (*self._sections["trainer"], *parsed[0].path)
            return [HydraKey(key, is_new=key not in self._numbers)]
        found: dict[HydraKey, None] = {}
        for place in parsed:
            for key in self._numbers:
                if self._is_named(key, place) and self._numbers[key] == old:
                    found[HydraKey(self._origin(key, old))] = None
        if not found and parsed:
            candidates = [*self._same(old, self._sections[parsed[0].owner]), *self._absent(parsed)]
            proven = next((key for key in candidates if self._is_proven(key, parsed, old)), None)
            found = {proven: None} if proven else {}
        return list(found)

    def _is_named(self, key: Key, place: Place) -> bool:
        section = self._sections.get(place.owner, ())
        inside = key[: len(section)] == section
        return inside and bool(section) and named(key[len(section) :]) == named(place.path)

    def _same(self, old: float | None, first: Key) -> list[HydraKey]:
        """All keys that hold the value themselves, those of a section first."""
        keys = [key for key, value in self._numbers.items() if value == old and not self._leads_on(key)]
        return [HydraKey(key) for key in sorted(keys, key=lambda key: key[: len(first)] != first)]

    def _absent(self, places: Sequence[Place]) -> list[HydraKey]:
        """Keys that the places suggest and the configuration does not have."""
        from omegaconf import DictConfig, OmegaConf

        keys = dict.fromkeys((*self._sections[place.owner], *named(place.path)) for place in places)
        tables = {key: OmegaConf.select(self._config, ".".join(key[:-1])) for key in keys}
        return [
            HydraKey(key, is_new=True)
            for key, table in tables.items()
            if isinstance(table, DictConfig) and key[-1] not in table
        ]

    def _leads_on(self, key: Key) -> bool:
        """Whether what stands under a key is an interpolation."""
        from omegaconf import OmegaConf

        node = OmegaConf.select(self._config, ".".join(key[:-1])) if key[1:] else self._config
        return bool(OmegaConf.is_interpolation(node, key[-1]))

    def _origin(self, key: Key, old: float | None) -> Key:
        """The key that an interpolation takes its value from, or the key itself."""
        if self._leads_on(key):
            from omegaconf import OmegaConf

            for source in self._same(old, ()):
                value = other(old)
                if OmegaConf.select(self._changed(source.path, value), ".".join(key)) == value:
                    return source.path
        return key

    def _changed(self, key: Key, value: float) -> Any:
        from omegaconf import OmegaConf

        changed = copy.deepcopy(self._config)
        OmegaConf.update(changed, ".".join(key), value)
        return changed

    def _is_proven(self, key: HydraKey, places: Sequence[Place], old: float | None) -> bool:
        """Whether objects made with another value under a key have it in all places."""
        from lit_autotune.copies.process_state import unchanged_process

        value = other(old)
        with unchanged_process(quiet=True):
            try:
                made = self._make(self._changed(key.path, value))
                return all(as_number(read(made, place)) == value for place in places)
            except Exception:  # the user's classes may refuse it
                return False


def _numbers(node: Any, path: Key = ()) -> Iterator[tuple[Key, Any]]:
    """All keys below which there is a number, or nothing yet; those that lead to a table of another key left out."""
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for name in node:
        try:
            value = node[name]
        except OmegaConfBaseException:  # missing, or an interpolation that leads nowhere
            continue
        if isinstance(value, DictConfig) and not OmegaConf.is_interpolation(node, name):
            yield from _numbers(value, (*path, str(name)))
        elif value is None or as_number(value) is not None:
            yield (*path, str(name)), as_number(value)
