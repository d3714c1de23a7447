"""What loaders say of themselves, and the sizes of all that a batch is made of."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from lit_autotune.copies.nested import parts
from lit_autotune.internals.tensors import leaves
from lit_autotune.planning.supply import Shapes, Supply

T = TypeVar("T")

MAX_DEPTH = 6
MAX_ITEMS = 16
"""Of a list: its images differ in size, but not in what they say of the batch."""


def supplies_of(loaders: Any) -> tuple[Supply, ...]:
    """What each loader says of itself, of a collection of them or of those that a loop has set up."""
    flat = loaders.flattened if hasattr(loaders, "flattened") else leaves(loaders)
    return tuple(supply_of(loader) for loader in flat if loader is not None)


def supply_of(loader: Any) -> Supply:
    """What a loader says of itself."""
    from torch.utils.data import BatchSampler, DataLoader, IterableDataset

    chain = list(_samplers(loader))
    makers = [sampler for sampler in chain if _stated(sampler) is not None]
    dataset = getattr(loader, "dataset", None)
    stated = [size for part in (loader, *makers, dataset) if (size := _stated(part)) is not None]
    if isinstance(loader, DataLoader) and type(loader).__iter__ is not DataLoader.__iter__:
        stated = []  # it makes batches in a way of its own, and need not heed what it states
    batches = _attempt(lambda: len(loader), math.inf)
    samples: int | None = None
    is_plain = False
    if makers:
        maker, size = makers[-1], _stated(makers[-1]) or 1
        samples = _attempt(lambda: len(maker.sampler), None)
        # A sampler of the user's own may draw tiles of images, say: then it has other samples than that within it.
        made = _attempt(lambda: len(makers[0]), None)
        is_plain = type(maker) is BatchSampler
        if not is_plain and samples is not None and made not in (samples // size, -(-samples // size)):
            samples = None
    elif not chain:  # a loader of another library
        samples = _attempt(lambda: len(dataset), None)  # type: ignore[arg-type]
    return Supply(
        stated=tuple(stated),
        samples=samples,
        drops=any(getattr(part, "drop_last", False) is True for part in (*makers, loader)),
        batches=batches,
        is_plain=is_plain and samples is not None,
        streams=isinstance(dataset, IterableDataset) and bool(makers),
        workers=int(getattr(loader, "num_workers", 0) or 0),
    )


def _samplers(loader: Any) -> Iterator[Any]:
    """What puts samples together, from the outermost sampler of batches to the one of samples."""
    sampler = getattr(loader, "batch_sampler", None)
    if sampler is None:
        sampler = getattr(loader, "sampler", None)
    for _ in range(MAX_DEPTH):
        if sampler is None:
            return
        yield sampler
        sampler = getattr(sampler, "sampler", None)


def _stated(part: Any) -> int | None:
    size = _attempt(lambda: getattr(part, "batch_size", None), None)
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None


def _attempt(function: Callable[[], T], otherwise: T) -> T:
    try:
        return function()
    except Exception:  # foreign loaders and streams refuse their length in many ways
        return otherwise


def shapes_of(batch: Any) -> Shapes:
    """The sizes of all that a batch is made of, whatever it is: tensors, lists of images, objects of the user's own."""
    found: dict[Any, int] = {}
    _collect(batch, (), found, set())
    return found


def _collect(value: Any, path: tuple[Any, ...], found: dict[Any, int], seen: set[int]) -> None:
    if value is None or isinstance(value, str | bytes | int | float | type) or callable(value):
        return
    if id(value) in seen or len(path) > MAX_DEPTH:
        return
    seen.add(id(value))
    shape = (value.size(0),) if getattr(value, "is_nested", False) is True else getattr(value, "shape", None)
    if isinstance(shape, tuple):
        found.update({(*path, f"dimension {i}"): size for i, size in enumerate(shape) if isinstance(size, int)})
        return
    length = _attempt(lambda: len(value), None) if hasattr(type(value), "__len__") else None
    if length is not None:
        found[*path, "length"] = length
    for name, part in itertools.islice(parts(value), MAX_ITEMS):
        _collect(part, (*path, name), found, seen)
