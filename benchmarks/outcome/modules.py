"""What the modules of both halves share: the steps, the schedules, and pretraining."""

import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR
from torch.utils.data import TensorDataset
from torchmetrics import Metric, R2Score
from torchmetrics.classification import MulticlassAccuracy


class Supervised(pl.LightningModule):
    """A net, a loss and mostly a score; the last tensor of a batch is the target."""

    net: nn.Module

    def __init__(self, criterion: nn.Module, **scores: Metric):
        super().__init__()
        self.criterion = criterion
        self.scores = nn.ModuleDict(scores)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(*inputs)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        *inputs, target = batch
        loss = self.criterion(self(*inputs), target)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        *inputs, target = batch
        output = self(*inputs)
        self.log("val_loss", self.criterion(output, target), prog_bar=True)
        for name, score in self.scores.items():
            self.judge(score, output, target)
            self.log(name, score, prog_bar=True)

    def judge(self, score: Metric, output: Tensor, target: Tensor) -> None:
        """Show a score what came out."""
        score.update(output, target)


class Classifier(Supervised):
    """Cross-entropy and accuracy."""

    def __init__(self, classes: int):
        super().__init__(nn.CrossEntropyLoss(), val_acc=MulticlassAccuracy(classes, average="micro"))


class Regressor(Supervised):
    """Squared error, and how much of the variance is explained."""

    def __init__(self) -> None:
        super().__init__(nn.MSELoss(), val_r2=R2Score())

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(*inputs).squeeze(-1)


def cosine_per_epoch(optimizer: Optimizer, trainer: pl.Trainer) -> OptimizerLRScheduler:
    """Down to zero in the last epoch."""
    return {"optimizer": optimizer, "lr_scheduler": CosineAnnealingLR(optimizer, T_max=trainer.max_epochs)}


def one_cycle(optimizer: Optimizer, max_lr: float, trainer: pl.Trainer) -> OptimizerLRScheduler:
    """Up to the learning rate and down again, once in the whole training."""
    scheduler = OneCycleLR(optimizer, max_lr=max_lr, total_steps=trainer.estimated_stepping_batches)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def warmup_cosine(optimizer: Optimizer, trainer: pl.Trainer, warmup: int) -> OptimizerLRScheduler:
    """Straight up in so many steps, then a cosine down to zero."""
    total = trainer.estimated_stepping_batches

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


def slow_backbone(net: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """Parameter groups for fine-tuning: what has been learned before moves at a tenth of the rate."""
    return [
        {"params": net.backbone.parameters(), "lr": learning_rate / 10},
        {"params": net.head.parameters(), "lr": learning_rate},
    ]


def pretrained(build: Callable[[], nn.Module], rows: TensorDataset, epochs: int) -> dict[str, Tensor]:
    """Weights of the backbone after a plain training that is the same one every time."""
    inputs, labels = rows.tensors
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build()
        optimizer = Adam(net.parameters(), lr=2e-3)
        for _ in range(epochs):
            for chosen in torch.randperm(len(inputs)).split(64):
                optimizer.zero_grad()
                F.cross_entropy(net(inputs[chosen]), labels[chosen]).backward()
                optimizer.step()
    return net.backbone.state_dict()
