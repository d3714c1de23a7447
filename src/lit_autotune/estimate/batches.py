"""Fake batches of any size, drawn up after two that really arrived."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lit_autotune.copies.attributes import Values
from lit_autotune.copies.callbacks import SeenEnoughError
from lit_autotune.copies.nested import parts
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import EstimateError
from lit_autotune.internals.loops import allow_start, loaders_in_use
from lit_autotune.internals.strategies import on_cpu

EXAMPLE_SIZES = (2, 4)
"""The batch sizes of the two examples. What doubles from one to the other is the batch, wherever it stands."""


@dataclass(frozen=True, slots=True)
class FirstBatches:
    """What a fit gets from its loaders.

    Attributes:
        train: The first training batch.
        val: The first batch of each validation loader.
        batches: Training batches in an epoch; infinite if unknown.
    """

    train: Any
    val: list[Any]
    batches: float


def first_batches(sandbox: Sandbox, values: Values) -> FirstBatches:
    """Set everything up on copies, and take the first batches off the loaders."""
    copies = sandbox.copies(values)
    on_cpu(copies.trainer)
    found: list[FirstBatches] = []

    def take(original: Callable[[], Any]) -> None:
        loop = copies.trainer.fit_loop
        batch, *_ = next(iter(loaders_in_use(loop)))
        validation = loaders_in_use(loop.epoch_loop.val_loop)
        loaders = () if validation is None else validation.flattened
        found.append(FirstBatches(batch, [next(iter(loader)) for loader in loaders], loop.max_batches))
        raise SeenEnoughError

    copies.wrap("on_train_start", take)
    allow_start(copies.trainer)
    copies.trainer.check_val_every_n_epoch = 1  # or Lightning may not set the validation loaders up
    sandbox.run(copies)
    if not found:
        raise EstimateError("the training data give no batch")
    return found[0]


def scaled(first: Any, second: Any, batch_size: int) -> Any:
    """A batch of another size, its tensors empty; fake under a ``FakeTensorMode``.

    Dimensions that do not follow the batch size, such as the length that sentences are padded to, are the longer of
    the two. Lists that do are filled with the first example's items in turn. Of what is no tensor and no container
    there is the first example's.

    Args:
        first: What arrived with the first of :data:`EXAMPLE_SIZES`.
        second: What arrived with the second.
        batch_size: The batch size wanted.
    """
    import torch

    if isinstance(first, torch.Tensor):
        shape = [_extent(*extents, batch_size) for extents in zip(first.shape, second.shape, strict=True)]
        return torch.empty(shape, dtype=first.dtype)
    if isinstance(first, Mapping):
        items = {key: scaled(value, second[key], batch_size) for key, value in first.items()}
        return items if type(first) is dict else type(first)(items)  # type: ignore[call-arg]
    if isinstance(first, list | tuple):
        numbers = range(_extent(len(first), len(second), batch_size))
        parts = [scaled(first[i % len(first)], second[i % len(first)], batch_size) for i in numbers]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return first


def grows(first: Any, second: Any) -> bool:
    """Whether the batch size shows in a tensor, or in a list of tensors."""
    return _shapes(scaled(first, second, EXAMPLE_SIZES[0])) != _shapes(scaled(first, second, EXAMPLE_SIZES[1]))


def _extent(first: int, second: int, batch_size: int) -> int:
    if first * EXAMPLE_SIZES[1] == second * EXAMPLE_SIZES[0]:
        return first * batch_size // EXAMPLE_SIZES[0]
    return max(first, second)


def _shapes(batch: Any) -> list[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in _tensors(batch)]


def _tensors(batch: Any) -> Iterator[Any]:
    import torch

    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, Mapping | list | tuple):
        for _, part in parts(batch):
            yield from _tensors(part)


class _Loader:
    """A loader of fake batches, for an epoch of unknown length."""

    def __init__(self, make: Callable[[], Any], batches: float):
        self._make, self._batches = make, batches

    def __iter__(self) -> Iterator[Any]:
        numbers = itertools.takewhile(self._batches.__gt__, itertools.count())
        return (self._make() for _ in numbers)


class _SizedLoader(_Loader):
    """Likewise, for one of known length; Lightning keeps one batch less in memory then."""

    def __len__(self) -> int:
        return int(self._batches)


def fake_loader(make: Callable[[], Any], batches: float) -> _Loader:
    """A loader that makes a batch whenever it is asked; ``batches`` an epoch, infinite if unknown."""
    return (_Loader if batches == math.inf else _SizedLoader)(make, batches)
