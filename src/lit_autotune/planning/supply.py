"""What the data can fill: the largest batch size that loaders and the Trainer's limits allow. Pure numbers."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

Shapes = Mapping[Hashable, int]
"""The sizes of all that a batch is made of, by where they are in it."""


class Supply(NamedTuple):
    """What a loader says of itself.

    Attributes:
        stated: The batch sizes that it, its samplers and its data set state.
        samples: Samples that it makes batches of; ``None`` if it does not know, or something else makes the batches.
        drops: Whether it leaves out a last batch that is not full.
        batches: Batches that it has; infinite if it does not know.
        is_plain: Whether each batch, but for the last, is filled from one stock of samples, as PyTorch's own are.
        streams: Whether it fills batches from a stream.
        workers: Processes that make batches, each of its own.
    """

    stated: tuple[int, ...]
    samples: int | None
    drops: bool
    batches: float
    is_plain: bool
    streams: bool
    workers: int


class Filling(NamedTuple):
    """How to see in a batch whether it is full.

    Attributes:
        place: Where in it the number is that grows with the batch size.
        per_unit: What a full batch has there at least, per unit of batch size.
        is_constant: Whether that is always the same.
        streams: Whether batches are filled from a stream: all but the last ones are full.
        workers: Processes that make batches.
    """

    place: Hashable
    per_unit: float
    is_constant: bool
    streams: bool
    workers: int

    def needed(self, counts: Sequence[int], batch_size: int, ended: bool) -> float | None:
        """What a full batch would have had, if none was full; ``None`` if one was.

        Args:
            counts: What the first batches of an epoch have at the place.
            batch_size: What they were asked to have.
            ended: Whether these are all of the epoch.
        """
        wanted = batch_size * self.per_unit
        if not counts or max(counts) >= wanted:
            return None
        many = len(counts) > max(self.workers, 1)
        if ended and not many:
            return wanted
        return wanted if self.is_constant and not (self.streams and many) else None


def largest_filled(supplies: Sequence[Supply]) -> int | None:
    """The largest batch size with which an epoch over all loaders has a batch; ``None`` if unknown."""
    dropping = [supply.samples for supply in supplies if supply.drops and supply.samples is not None]
    sizes = [supply.samples for supply in supplies if supply.samples is not None]
    if dropping or len(sizes) < len(supplies):
        return min(dropping, default=None)
    return max(sizes, default=None)


def within_limits(most: int, share: float = 1.0, least: int = 1) -> int:
    """The largest batch size with which a share of an epoch still has so many batches; 0 if there is none.

    Args:
        most: Samples of an epoch.
        share: What the Trainer takes of its batches.
        least: Batches that have to be left.
    """
    size = int(most * share) // least
    while size and int(most // size * share) < least:  # a share such as 1/49 of 49 batches is rounded to none
        size -= 1
    return size


def estimated_samples(one: tuple[int, float], other: tuple[int, float], drops: bool = False) -> int | None:
    """The samples that a loader has, from its batches at two batch sizes; ``None`` if they do not tell.

    As many as fill the batches, unless it drops a last one that is not full: then it may have some more.
    """
    (size, batches), (other_size, other_batches) = one, other
    if not max(batches, other_batches) < float("inf") or abs(other_batches - batches * size / other_size) > 1:
        return None
    if batches == other_batches:
        return None
    bounds = (int(batches * size), int(other_batches * other_size))
    return max(bounds) if drops else min(bounds)


def find_filling(one: tuple[int, Shapes], other: tuple[int, Shapes], supply: Supply) -> Filling | None:
    """Where in a batch to see whether it is full, from batches of two sizes; ``None`` if there is no such place.

    The number itself is the best, then one in proportion to it, then one that only grows.
    """
    (size, shapes), (other_size, others) = sorted((one, other), key=lambda pair: pair[0])
    found = [(place, shapes[place], others[place]) for place in shapes if place in others]
    growing = [item for item in found if item[1] < item[2]]
    in_proportion = [item for item in growing if item[1] * other_size == item[2] * size]
    equal = [item for item in in_proportion if item[1] == size]
    for items in (equal, in_proportion, growing):
        if items:
            place, first, second = items[0]
            per_unit = min(first / size, second / other_size)
            return Filling(place, per_unit, items is not growing, supply.streams, supply.workers)
    return None


def are_the_same(one: Iterable[Supply], other: Iterable[Supply]) -> bool:
    """Whether loaders make batches of the same sizes."""
    return [(supply.stated, supply.batches) for supply in one] == [(supply.stated, supply.batches) for supply in other]
