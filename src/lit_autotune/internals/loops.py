"""A Trainer's loops and loaders, as far as they are not public."""

import importlib
from typing import Any

from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.packages import trainer_package


def count_samples(trainer: Any, batch: Any) -> int | None:
    """Samples in a batch, as Lightning itself counts them."""
    data = importlib.import_module(f"{trainer_package(trainer)}.utilities.data")
    try:
        return int(data.extract_batch_size(batch))
    except Exception:  # Lightning's own exception type differs between its two packages
        return None


def allow_start(trainer: Any) -> None:
    """Lift the limits that would keep a copied Trainer from beginning to train at once."""
    trainer.num_sanity_val_steps = 0
    loop = trainer.fit_loop
    if loop.max_epochs == 0:
        loop.max_epochs = 1
    if loop.epoch_loop.max_steps == 0:
        loop.epoch_loop.max_steps = -1


def total_batches(trainer: Any, method: str) -> float:
    """Batches of an epoch of a Trainer's method that has begun; infinite if unknown."""
    if getattr(trainer, METHODS[method].limit) == 0:
        return 0.0  # the loop has not looked
    batches = getattr(trainer, METHODS[method].loop).max_batches
    return float(sum(batches) if isinstance(batches, list) else batches)


def most_samples(trainer: Any, method: str) -> int | None:
    """The largest batch size that still gives an epoch with a batch in it, under the Trainer's own limits."""
    combined = loaders_in_use(getattr(trainer, METHODS[method].loop))
    if combined is None:
        return None
    sizes: list[int] = []
    dropping: list[int] = []
    for loader in combined.flattened:
        batches = getattr(loader, "batch_sampler", None)
        source = getattr(batches, "sampler", None) or getattr(loader, "sampler", None)
        try:
            samples = len(source if source is not None else loader.dataset)
        except (TypeError, AttributeError, NotImplementedError):
            continue
        sizes.append(samples)
        if getattr(batches, "drop_last", False) or getattr(loader, "drop_last", False):
            dropping.append(samples)
    if len(sizes) < len(combined.flattened):
        return min(dropping, default=None)
    most = min(dropping) if dropping else max(sizes, default=0)
    if method != "fit":
        return max(most, 1)
    if isinstance(trainer.limit_train_batches, float) and trainer.limit_train_batches < 1:
        most = int(most * trainer.limit_train_batches)
    if isinstance(trainer.val_check_interval, int) and trainer.check_val_every_n_epoch and trainer.enable_validation:
        most //= trainer.val_check_interval  # Lightning refuses an interval longer than an epoch
    return max(most, 1)


def train_loaders(trainer: Any) -> Any:
    """What ``train_dataloader`` returns to a Trainer in a fit."""
    return trainer.fit_loop._data_source.dataloader()


def validation_loaders(trainer: Any) -> Any:
    """What ``val_dataloader`` returns to a Trainer in a fit."""
    return trainer.fit_loop.epoch_loop.val_loop._data_source.dataloader()


def loaders_in_use(loop: Any) -> Any:
    """The loaders that a loop has set up, as one; ``None`` if it has none."""
    return loop._combined_loader


def running_iterator(loader: Any) -> Any:
    """The iterator that a DataLoader with persistent workers goes on with; ``None`` if it has none."""
    return loader._iterator


def fetcher(trainer: Any) -> Any:
    """The iterator that a fit takes its batches from."""
    return trainer.fit_loop._data_fetcher


def run_until_stopped(trainer: Any) -> None:
    """Have a fit that has begun go on until it is told to stop."""
    loop = trainer.fit_loop
    loop.max_epochs, loop.epoch_loop.max_steps = -1, -1
    loop.min_epochs = loop.epoch_loop.min_steps = None


def ready(trainer: Any, module: Any, batch: Any) -> Any:
    """A batch of a loader as a step gets it: converted, through the module's hooks, on its device."""
    batch = module._on_before_batch_transfer(trainer.precision_plugin.convert_input(batch), dataloader_idx=0)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=0)
