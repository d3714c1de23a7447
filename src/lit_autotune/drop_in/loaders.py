"""Loaders passed by hand, made into a datamodule whose batch size can be changed."""

import importlib
from typing import Any

from lit_autotune.internals.packages import trainer_package
from lit_autotune.trials.loaders import rebuild


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


def _batch_size(loader: Any) -> int | None:
    """The batch size of the first loader that has one."""
    if isinstance(loader, dict | list | tuple):
        parts = loader.values() if isinstance(loader, dict) else loader
        return next((size for part in parts if (size := _batch_size(part))), None)
    parts = (loader, getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None))
    return next((size for part in parts if isinstance(size := getattr(part, "batch_size", None), int)), None)
