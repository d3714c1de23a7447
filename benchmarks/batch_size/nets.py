"""Four kinds of model on random tensors."""

import lightning.pytorch as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 10


class UNet(nn.Module):
    """Down, up, and across."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.down = _convolution(1, width)
        self.middle = _convolution(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.out = nn.Sequential(_convolution(2 * width, width), nn.Conv2d(width, CLASSES, 1))

    def forward(self, images):
        down = self.down(images)
        up = self.up(self.middle(F.max_pool2d(down, 2)))
        return self.out(torch.cat([down, up], 1)).mean((2, 3))


def _convolution(channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


def cnn() -> nn.Module:
    """Two convolutions."""
    return nn.Sequential(
        _convolution(3, 16), _convolution(16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES)
    )


def transformer() -> nn.Module:
    """Two layers over 64 tokens."""
    layers = [nn.TransformerEncoderLayer(64, 4, 128, batch_first=True) for _ in range(2)]
    return nn.Sequential(nn.Linear(16, 64), *layers, nn.Flatten(), nn.Linear(64 * 64, CLASSES))


def mlp() -> nn.Module:
    """Three hidden layers, 2.4 million parameters: the optimizer's step decides the peak of small batches."""
    return nn.Sequential(
        nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 1024), nn.GELU(), nn.Linear(1024, 1024), nn.GELU(),
        nn.Linear(1024, CLASSES),
    )  # fmt: skip


NETS = {
    "CNN": (cnn, (3, 32, 32)),
    "transformer": (transformer, (64, 16)),
    "MLP": (mlp, (256,)),
    "U-Net": (UNet, (1, 32, 32)),
}
"""Model, and the shape of a sample."""


class Module(pl.LightningModule):
    """Classifies; counts all its training steps, those of its copies too."""

    steps = 0

    def __init__(self, kind: str):
        super().__init__()
        self.net = NETS[kind][0]()

    def training_step(self, batch, batch_idx):
        Module.steps += 1
        inputs, labels = batch
        return F.cross_entropy(self.net(inputs), labels)

    def validation_step(self, batch, batch_idx):
        inputs, labels = batch
        self.log("val_loss", F.cross_entropy(self.net(inputs), labels))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Data(pl.LightningDataModule):
    """As many samples as Lightning's tuner would try at most."""

    def __init__(self, kind: str, batch_size: int = 2, samples: int = 8192):
        super().__init__()
        self.batch_size = batch_size
        self.data = TensorDataset(torch.randn(samples, *NETS[kind][1]), torch.randint(CLASSES, (samples,)))

    def train_dataloader(self):
        return DataLoader(self.data, self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.data, self.batch_size)


def trainer(**arguments) -> pl.Trainer:
    """A Trainer that writes nothing."""
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=1, **arguments,
    )  # fmt: skip
