"""A Trainer's loops and loaders, as far as they are not public."""

import importlib
import traceback
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


def train_loaders(trainer: Any) -> Any:
    """What ``train_dataloader`` returns to a Trainer in a fit."""
    return trainer.fit_loop._data_source.dataloader()


def validation_loaders(trainer: Any) -> Any:
    """What ``val_dataloader`` returns to a Trainer in a fit."""
    return trainer.fit_loop.epoch_loop.val_loop._data_source.dataloader()


def is_of_validation(error: BaseException) -> bool:
    """Whether an exception came up in an evaluation loop; one of another process has its traceback in a note."""
    return any("evaluation_loop" in line for line in traceback.format_exception(error))


def has_validation_loaders(trainer: Any) -> bool:
    """Whether anybody brings validation data to a fit."""
    return bool(trainer.fit_loop.epoch_loop.val_loop._data_source.is_defined())


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
