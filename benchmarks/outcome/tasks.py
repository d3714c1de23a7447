"""What a task is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule


@dataclass(frozen=True)
class Task:
    """One training as a user has written it."""

    name: str
    """Data, net and optimizer, such as ``digits, CNN, Adam``."""

    module: Callable[[float], LightningModule]
    """Builds the module; takes the learning rate."""

    datamodule: Callable[[int], LightningDataModule]
    """Builds the data; takes the batch size."""

    batch_size: int
    """What a sensible user writes from habit."""

    learning_rate: float
    """What a sensible user writes from habit."""

    trainer: Mapping[str, Any]
    """What the user passes to the trainer: how long to train, clipping, accumulation."""

    bad: tuple[tuple[int, float], ...] = ()
    """Pairs of batch size and learning rate that a user would regret."""

    score: str | None = None
    """A score that validation logs beside ``val_loss``; higher is better."""
