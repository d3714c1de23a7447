"""What nested things are made of: batches, samples, whatever users put into them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any


def parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """The parts of a container, a dataclass or an object, by name or place; of text and tensors do not ask for any."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, Sequence | Set):
        yield from enumerate(value)
    if dataclasses.is_dataclass(value):
        yield from ((field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value))
    elif hasattr(value, "__dict__"):
        yield from list(vars(value).items())
