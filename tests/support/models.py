"""Modules and datamodules that several tests use, written as users write them."""

import random

import lightning.pytorch as pl
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

AS_FOUND = {"batch_size_target": "largest", "compare": False}
"""Settings with which what is found is applied: for tests of how it is found."""


def blobs(samples=256, features=8, classes=3, seed=0):
    """Points around a few centres, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(classes, features, generator=generator)
    labels = torch.randint(classes, (samples,), generator=generator)
    return centres[labels] + torch.randn(samples, features, generator=generator), labels


class Blobs(pl.LightningDataModule):
    """The plainest datamodule; counts how often its hooks run."""

    def __init__(self, batch_size=16, samples=256, **loader_arguments):
        super().__init__()
        self.batch_size = batch_size
        self.samples = samples
        self.loader_arguments = loader_arguments

    def setup(self, stage):
        self.data = TensorDataset(*blobs(self.samples))

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size, **{"shuffle": True, **self.loader_arguments})


class Net(pl.LightningModule):
    """The plainest module."""

    def __init__(self, lr=1e-3, width=16):
        super().__init__()
        self.lr = lr
        self.network = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 3))

    def training_step(self, batch, batch_idx):
        inputs, labels = batch
        return F.cross_entropy(self.network(inputs), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Augmented(Dataset):
    """Samples changed at random by Python's, NumPy's and torch's generators, global and own."""

    def __init__(self, samples):
        self.inputs, self.labels = blobs(samples)
        self.own = random.Random(3)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        noise = 0.1 * random.gauss(0, 1) + 0.1 * np.random.randn() + 0.1 * self.own.random()
        return self.inputs[i] + noise + 0.1 * torch.randn(8), self.labels[i]


class RandomBlobs(pl.LightningDataModule):
    """A datamodule with every source of randomness, one of them its own generator."""

    def __init__(self, batch_size=16):
        super().__init__()
        self.save_hyperparameters()
        self.generator = torch.Generator().manual_seed(11)

    def setup(self, stage):
        self.train, self.val = Augmented(200), Augmented(50)

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=self.hparams.batch_size, shuffle=True, generator=self.generator)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=self.hparams.batch_size)


class RandomNet(pl.LightningModule):
    """Dropout, BatchNorm, a metric with state, a Python counter that matters, a scheduler."""

    def __init__(self, learning_rate=1e-3, manual=False):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = not manual
        self.network = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
        self.accuracy = MulticlassAccuracy(3)
        self.seen = 0

    def training_step(self, batch, batch_idx):
        inputs, labels = batch
        self.seen += len(labels)
        logits = self.network(inputs)
        self.accuracy.update(logits, labels)
        loss = F.cross_entropy(logits, labels) * (1 + 0.01 * (self.seen % 7))
        self.log("train_loss", loss)
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def validation_step(self, batch, batch_idx):
        inputs, labels = batch
        self.log("val_loss", F.cross_entropy(self.network(inputs), labels))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]


class Images(pl.LightningDataModule):
    """Random images, there before any limit is."""

    def __init__(self, batch_size=4, samples=1024):
        super().__init__()
        self.batch_size = batch_size
        self.data = TensorDataset(torch.rand(samples, 3, 16, 16), torch.randint(5, (samples,)))

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size)

    def val_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size)


class CNN(pl.LightningModule):
    """Convolutions, batch normalization, AdamW."""

    def __init__(self, lr=1e-3):
        super().__init__()
        self.lr = lr
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1024, 5),
        )

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self.network(images), labels)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.network(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def quiet_trainer(**arguments):
    """A Trainer that writes nothing."""
    defaults = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 2,
    }
    return pl.Trainer(**{**defaults, **arguments})
