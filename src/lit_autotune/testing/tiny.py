"""A module and its data that train in no time, for tests of steps."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


def tiny_trainer() -> Any:
    """A Trainer of one epoch on the CPU that writes and shows nothing."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(max_epochs=1, accelerator="cpu", **quiet)


class TinyModule(pl.LightningModule):  # type: ignore[misc]
    """One linear layer that tells three classes apart, with Adam.

    Args:
        lr: Learning rate.
    """

    def __init__(self, lr: float = 1e-3):
        super().__init__()
        self.lr = lr
        self.layer = torch.nn.Linear(8, 3)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Cross entropy of a batch."""
        inputs, labels = batch
        return torch.nn.functional.cross_entropy(self.layer(inputs), labels)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Logs the same as ``val_loss``."""
        self.log("val_loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> Any:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class TinyData(pl.LightningDataModule):  # type: ignore[misc]
    """Points around three centres, the same each time.

    Args:
        batch_size: Batch size, in samples.
        samples: How many there are for training, and as many for validation.
    """

    def __init__(self, batch_size: int = 16, samples: int = 128):
        super().__init__()
        self.batch_size = batch_size
        self.samples = samples

    def setup(self, stage: str) -> None:
        """Make the samples."""
        generator = torch.Generator().manual_seed(0)
        centres = 3 * torch.randn(3, 8, generator=generator)
        labels = torch.randint(3, (2 * self.samples,), generator=generator)
        inputs = centres[labels] + torch.randn(2 * self.samples, 8, generator=generator)
        self.train = TensorDataset(inputs[: self.samples], labels[: self.samples])
        self.val = TensorDataset(inputs[self.samples :], labels[self.samples :])

    def train_dataloader(self) -> Any:
        """Shuffled batches."""
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        """Batches in order."""
        return DataLoader(self.val, self.batch_size)
