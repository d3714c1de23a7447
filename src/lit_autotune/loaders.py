"""Loaders passed by hand, made into a datamodule whose batch size can be changed."""

import importlib
from typing import Any

from lit_autotune.errors import ConfigError
from lit_autotune.packages import trainer_package

COPIED = (
    "num_workers",
    "collate_fn",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
    "persistent_workers",
    "pin_memory_device",
)
"""What a rebuilt DataLoader keeps, besides data set and sampler."""


class GivenLoaders:
    """Marks a datamodule made of loaders that were passed by hand."""


def datamodule_of(trainer: Any, **loaders: Any) -> Any:
    """A datamodule that gives the loaders, rebuilt with its ``batch_size``.

    Args:
        trainer: The user's Trainer; decides which Lightning package the datamodule belongs to.
        loaders: DataLoaders, or lists or dictionaries of them, by stage: ``train``, ``val``, ``test``, ``predict``.

    Raises:
        ConfigError: If a loader cannot be rebuilt.
    """
    base = importlib.import_module(trainer_package(trainer)).LightningDataModule
    given = {stage: loader for stage, loader in loaders.items() if loader is not None}
    methods = {
        f"{stage}_dataloader": lambda self, loader=loader: rebuild(loader, self.batch_size)
        for stage, loader in given.items()
    }
    made = type("GivenLoadersDataModule", (GivenLoaders, base), methods)()
    made.batch_size = next((size for loader in given.values() if (size := _batch_size(loader))), None)
    return made


def rebuild(loader: Any, batch_size: int | None, sampler: Any = None) -> Any:
    """The same loader, or collection of loaders, with another batch size.

    Data set, sampler (shuffling included, if no other is given), collate function, workers and ``drop_last`` are kept.

    Raises:
        ConfigError: If its batch sampler is of an unknown kind.
    """
    from torch.utils.data import BatchSampler, DataLoader, IterableDataset

    if isinstance(loader, dict):
        return {name: rebuild(part, batch_size) for name, part in loader.items()}
    if isinstance(loader, list | tuple):
        return [rebuild(part, batch_size) for part in loader]
    if not isinstance(loader, DataLoader):
        raise ConfigError(f"cannot change the batch size of a {type(loader).__name__}; pass a datamodule instead")
    kept = {name: getattr(loader, name) for name in COPIED if getattr(loader, name, None) not in (None, "")}
    if isinstance(loader.dataset, IterableDataset):
        return DataLoader(loader.dataset, batch_size=batch_size, drop_last=loader.drop_last, **kept)
    if loader.batch_size is not None:
        return DataLoader(
            loader.dataset, batch_size=batch_size, sampler=sampler or loader.sampler, drop_last=loader.drop_last, **kept
        )
    batches = loader.batch_sampler
    if type(batches) is not BatchSampler:
        raise ConfigError(
            f"cannot change the batch size of a {type(batches).__name__}; pass a datamodule whose loader reads it"
        )
    remade = BatchSampler(sampler or batches.sampler, batch_size or 1, batches.drop_last)
    return DataLoader(loader.dataset, batch_sampler=remade, **kept)


def _batch_size(loader: Any) -> int | None:
    """The batch size of the first loader that has one."""
    if isinstance(loader, dict | list | tuple):
        parts = loader.values() if isinstance(loader, dict) else loader
        return next((size for part in parts if (size := _batch_size(part))), None)
    size = getattr(loader, "batch_size", None) or getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
    return size if isinstance(size, int) else None
