"""Which keys of a LightningCLI's configuration a place in the user's objects is made from.

A key counts if the place is named after it and both hold the same number. Where the names differ, it is proven: objects
made with another value under that key have that value in that place.
"""

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from lit_autotune.copies.attributes import Place, read
from lit_autotune.copies.numeric import as_number
from lit_autotune.copies.owners import owners
from lit_autotune.copies.process_state import unchanged_process

Key = tuple[str, ...]

SECTIONS = {"module": "model", "datamodule": "data"}
WRAPPERS = {"hparams", "keywords", "init_args", "dict_kwargs"}
"""What stands between names in a place or a key, and names nothing itself."""


class Keys(NamedTuple):
    """The keys that a setting comes from.

    Attributes:
        given: Those that a user gives, each with its share of the setting: ``base_lr`` goes with ``max_lr``.
        linked: Those that the parser fills from these.
    """

    given: dict[Key, float]
    linked: tuple[Key, ...] = ()


def find_keys(parser: Any, config: Any, places: Sequence[str], old: float | None) -> Keys:
    """The keys that the value in some places comes from; none if that cannot be told.

    Args:
        parser: That of the LightningCLI, or of the subcommand that was given.
        config: What it parsed, and the objects were made of.
        places: Where the setting is kept, as a report has them.
        old: The value that the objects were made with.
    """
    parsed = [Place(owner, tuple(path)) for owner, *path in (place.split(".") for place in places)]
    if parsed and parsed[0].owner == "trainer":
        return Keys({("trainer", *parsed[0].path): 1.0})
    free = _plain(parser, config, skip_link_targets=True)
    numbers = dict(_numbers(free))
    everything = dict(_numbers(_plain(parser, config, skip_link_targets=False)))
    same = [key for key, value in numbers.items() if value == old]
    given: dict[Key, float] = {}
    linked: list[Key] = []
    for place in parsed:
        if place.owner == "module" and place.path[0] == "configure_optimizers":
            given.update(_of_lightnings_optimizer(numbers, old))
        for key, value in everything.items():
            if value == old and key[0] == SECTIONS[place.owner] and named(key[1:]) == named(place.path):
                source = key if key in numbers else _source(parser, free, same, key)
                given.update({source: 1.0} if source else {})
                linked += [key] if source != key else []
    if not given:
        order = sorted(same, key=lambda key: key[0] != SECTIONS[parsed[0].owner]) if parsed else []
        proven = next((key for key in order if _is_proven(parser, free, key, parsed)), None)
        given = {proven: 1.0} if proven else {}
    return Keys(given, tuple(linked))


def put(config: Any, key: Key, value: float) -> None:
    """Set a value in a nested configuration that has the key."""
    *groups, name = key
    for group in groups:
        config = config[group]
    config[name] = value


def _plain(parser: Any, config: Any, skip_link_targets: bool) -> dict[str, Any]:
    """The configuration but for the Trainer's, which holds no setting of ours, and callbacks that cannot be written."""
    config = config.clone()
    config.pop("trainer", None)
    text = parser.dump(config, skip_link_targets=skip_link_targets, skip_none=False, format="json")
    plain: dict[str, Any] = json.loads(text)
    return plain


def _numbers(value: Any, path: Key = ()) -> Iterator[tuple[Key, Any]]:
    """All keys below which there is a number, or nothing yet."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _numbers(child, (*path, name))
    elif value is None or as_number(value) is not None:
        yield path, as_number(value)


def named(path: Sequence[str]) -> Key:
    """The names in a place or a key, which are the same where one is named after the other."""
    return tuple(name.lstrip("_") for name in path if name not in WRAPPERS)


def _of_lightnings_optimizer(numbers: dict[Key, Any], old: float | None) -> dict[Key, float]:
    """Keys of ``optimizer:`` or, where the schedule has its own peak, of ``lr_scheduler:``."""
    outside = {key: value for key, value in numbers.items() if key[0] not in SECTIONS.values()}
    peaks = [key for key, value in outside.items() if key[-1] == "max_lr" and value == old]
    if len(peaks) == 1 and old:
        base = (*peaks[0][:-1], "base_lr")  # of CyclicLR, whose range keeps its proportion
        return {peaks[0]: 1.0, **({base: outside[base] / old} if outside.get(base) else {})}
    rates = [key for key, value in outside.items() if key[-1] == "lr" and value == old]
    return {rates[0]: 1.0} if len(rates) == 1 else {}


def _changed(free: dict[str, Any], key: Key, value: float) -> dict[str, Any]:
    changed = copy.deepcopy(free)
    put(changed, key, value)
    return changed


def other(value: float | None) -> float:
    """A value that nothing else has by chance, of the same kind."""
    return value + 1 if isinstance(value, int) else 0.7310585 * (value or 1.0)


def _source(parser: Any, free: dict[str, Any], same: list[Key], target: Key) -> Key | None:
    """The key that a link fills another from: that which changes it."""
    for key in same:
        value = other(dict(_numbers(free))[key])
        try:
            parsed = parser.parse_object(_changed(free, key, value))
            if dict(_numbers(_plain(parser, parsed, skip_link_targets=False))).get(target) == value:
                return key
        except Exception:  # another value there may break whatever the user checks
            continue
    return None


def _is_proven(parser: Any, free: dict[str, Any], key: Key, places: Sequence[Place]) -> bool:
    """Whether objects made with another value under a key have it in all places."""
    value = other(dict(_numbers(free))[key])
    changed = _changed(free, key, value)
    with unchanged_process(quiet=True):
        try:
            made = parser.instantiate_classes(parser.parse_object(changed))
            objects = owners(made.get("model"), made.get("data"))
            return all(as_number(read(objects, place)) == value for place in places)
        except Exception:  # the user's classes may refuse it
            return False
