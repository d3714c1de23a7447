"""Loaders with another batch size."""

import copy
from typing import Any

from lit_autotune.errors import ConfigError


def rebuild(loader: Any, batch_size: int | None, sampler: Any = None) -> Any:
    """The same loader, or collection of loaders, with another batch size.

    Everything else is kept: data set, sampler (shuffling included, if no other is given), workers, and the loader's own
    class with all that it holds. It is copied, because nobody knows the arguments of a subclass.

    Raises:
        ConfigError: If nothing of the loader's makes batches, or a batch sampler of an unknown kind.
    """
    from torch.utils.data import BatchSampler, DataLoader

    if isinstance(loader, dict):
        return {name: rebuild(part, batch_size) for name, part in loader.items()}
    if isinstance(loader, list | tuple):
        return [rebuild(part, batch_size) for part in loader]
    if not isinstance(loader, DataLoader):
        raise ConfigError(f"cannot change the batch size of a {type(loader).__name__}; pass a datamodule instead")
    # With batch_size=None the sampler may make the batches: the data set then gets all indices of one at a time.
    batches = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    if type(batches) is not BatchSampler:
        by_data = "loader with batch_size=None, whose data set makes the batches"
        kind = by_data if loader.batch_sampler is None else type(batches).__name__
        raise ConfigError(f"cannot change the batch size of a {kind}; pass a datamodule whose loader reads it")
    rebuilt = copy.copy(loader)
    # A DataLoader refuses to have these set, but nothing else depends on them.
    attributes = vars(rebuilt)
    within = batches.sampler if sampler is None else sampler
    made = BatchSampler(within, batch_size or 1, batches.drop_last)
    if loader.batch_sampler is None:
        attributes["sampler"] = made
    else:
        attributes["sampler"] = loader.sampler if sampler is None else sampler
        attributes["batch_sampler"] = made
    if loader.batch_size is not None:
        attributes["batch_size"] = batch_size
    # Running workers are the original's, and so are the arguments that Lightning has noted to make it anew.
    attributes["_iterator"] = None
    for name in [name for name in attributes if name.startswith("__pl_saved")]:
        del attributes[name]
    return rebuilt
