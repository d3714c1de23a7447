"""What a setting that was not found may be: named for the error message."""

import inspect
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from lit_autotune.copies.containers import ARGUMENTS, children, is_partial, walk
from lit_autotune.copies.numeric import as_number

MOST = 6
"""Near misses that are listed."""

NEAR = {
    "lr": re.compile(r"^(?!.*sched).*(^|_)(lr|eta|learning_?rate)s?(_|\d|$)", re.IGNORECASE),
    "batch_size": re.compile(r"batch_?size|(^|_)bs(_|$)|batch$", re.IGNORECASE),
}
"""Names that look like a setting, by the first of its proper names."""

MAKER = re.compile(r"(^|_)opt(im|imizers?)?(_|\d|$)", re.IGNORECASE)
"""Names of what makes an optimizer."""


def near_misses(owners: Mapping[str, object], names: tuple[str, ...]) -> str:
    """Names that look like it, values that are no number, functions with a rate inside; empty if there are none."""
    found = dict.fromkeys(miss for owner, root in owners.items() for miss in _misses(owner, root, names))
    return f" ({'; '.join(islice(found, MOST))})" if found else ""


def _misses(owner: str, root: object, names: tuple[str, ...]) -> Iterator[str]:
    first = next(iter(names), "")
    pattern, maker = NEAR.get(first), MAKER if first == "lr" else None
    for path, container in walk(root):
        for name, value in (_proper(container, names) | children(container)).items():
            place = ".".join((owner, *path, name))
            looks_like_it = pattern is not None and pattern.search(name)
            makes_it = maker is not None and maker.search(name)
            what = _in_words(value) if looks_like_it else _maker(value) if makes_it else ""
            if what or (name in names and value is not None):
                yield f"{place} {what or f'is a {type(value).__name__}'}"
        yield from (f"{'.'.join((owner, *path, name))} is missing" for name in _missing(container) if name in names)


def _proper(container: object, names: tuple[str, ...]) -> dict[str, object]:
    """What lies under the setting's own names, a module's parameters included."""
    return {name: getattr(container, name, None) for name in names} if hasattr(container, "parameters") else {}


def _missing(container: object) -> list[str]:
    """Names of a mapping without a value that can be read, such as ``???`` of OmegaConf."""
    if not isinstance(container, Mapping):
        return []
    return [name for name in container if isinstance(name, str) and name not in children(container)]


def _in_words(value: Any) -> str:
    number = as_number(value)
    if isinstance(value, str):
        return f"is the text {value!r:.40}"
    if number is not None:
        return f"= {number:g}"
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"is a {type(value).__name__} of shape {tuple(shape)}"
    return f"is a {type(value).__name__}" if isinstance(value, list | tuple | bool) else ""


def _maker(value: Any) -> str:
    """What is to be said of something that makes an optimizer, but from no rate that can be seen."""
    if is_partial(value):
        return "" if "lr" in getattr(value, ARGUMENTS) else "is a partial without a lr among its keywords"
    if inspect.isclass(value):
        return f"is the class {value.__name__}, without a rate; use functools.partial({value.__name__}, lr=...)"
    if inspect.isfunction(value):
        return "is a function, and a rate inside of it cannot be changed; use functools.partial(..., lr=...)"
    return ""
