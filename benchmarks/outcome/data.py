"""The two ways in which users keep the batch size, and how rows are divided."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

Split = tuple[TensorDataset, TensorDataset]
"""Training and validation rows."""


class SplitData(pl.LightningDataModule):
    """Rows that fit in memory, the same ones for every seed."""

    drop_last = False

    def split(self) -> Split:
        """Training and validation rows."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        self.train_set, self.val_set = self.split()

    def _train(self, batch_size: int) -> DataLoader[Any]:
        return DataLoader(self.train_set, batch_size=batch_size, shuffle=True, drop_last=self.drop_last)

    def _val(self, batch_size: int) -> DataLoader[Any]:
        return DataLoader(self.val_set, batch_size=batch_size)


class AttributeData(SplitData):
    """The batch size is an attribute."""

    def __init__(self, batch_size: int = 32):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        return self._train(self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._val(self.batch_size)


class HparamsData(SplitData):
    """The batch size is a hyperparameter."""

    def __init__(self, batch_size: int = 32):
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self) -> DataLoader[Any]:
        return self._train(self.hparams.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._val(self.hparams.batch_size)


def divide(tensors: Sequence[Tensor], validation: int, seed: int = 0) -> Split:
    """Shuffle rows once and keep that many for validation."""
    order = torch.randperm(len(tensors[0]), generator=torch.Generator().manual_seed(seed))
    train, held = order[validation:], order[:validation]
    return TensorDataset(*(tensor[train] for tensor in tensors)), TensorDataset(*(tensor[held] for tensor in tensors))


def floats(array: Any) -> Tensor:
    """As PyTorch's nets want numbers."""
    return torch.from_numpy(np.array(array, dtype=np.float32))


def standardized(array: Any) -> Tensor:
    """Mean 0 and deviation 1 in every column."""
    tensor = floats(array)
    return (tensor - tensor.mean(0)) / tensor.std(0).clamp_min(1e-6)
