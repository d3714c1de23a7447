"""What a task is: data, a net, a loss and an optimizer."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.lr_suggestions import data

BATCH_SIZE = 32
EVALUATION_SIZE = 512

Optimizer = Callable[..., torch.optim.Optimizer]
SGD, ADAM, ADAMW, RMSPROP = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop
MOMENTUM: Optimizer = partial(torch.optim.SGD, momentum=0.9)
mse = functional.mse_loss


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of classes, or of characters at each place."""
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def gaussian(outputs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of a mean and a log-variance; below zero where the fit is good."""
    mean, log_variance = outputs.split(1, dim=1)
    return 0.5 * (log_variance + (targets - mean) ** 2 * torch.exp(-log_variance)).mean()


@dataclass(frozen=True)
class Task:
    """Something to train.

    Attributes:
        name: Data, net and optimizer.
        load: Makes inputs and targets.
        build: Makes the net.
        optimizer: Takes parameters and ``lr``.
        loss: Takes outputs and targets.
        before: Data that the net was trained on before, for fine-tuning; its last layer is new.
    """

    name: str
    load: Callable[[], data.Data]
    build: Callable[[], nn.Module]
    optimizer: Optimizer
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    before: Callable[[], data.Data] | None = None

    def start(self, seed: int) -> nn.Module:
        """The net before its first step."""
        return copy.deepcopy(_start(self, seed))

    def evaluation(self) -> data.Data:
        """A fixed part of the training data: what is judged is how well the loss was brought down."""
        inputs, targets = load(self.load)
        chosen = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(1))[:EVALUATION_SIZE]
        return inputs[chosen], targets[chosen]

    def batches(self, seed: int) -> Iterator[data.Data]:
        """Shuffled batches, epoch after epoch."""
        return _batches(load(self.load), seed)


@cache
def load(source: Callable[[], data.Data]) -> data.Data:
    """The data of a source, made once."""
    return source()


@cache
def _start(task: Task, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = task.build()
    if task.before:
        optimizer = ADAM(net.parameters(), lr=3e-3)
        for _, (inputs, targets) in zip(range(300), _batches(load(task.before), seed), strict=False):
            optimizer.zero_grad()
            task.loss(net(inputs), targets).backward()
            optimizer.step()
        [*net.modules()][-1].reset_parameters()
    return net


def _batches(source: data.Data, seed: int) -> Iterator[data.Data]:
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = source
    while True:
        order = torch.randperm(len(inputs), generator=generator)
        for chosen in order[: len(order) // BATCH_SIZE * BATCH_SIZE].view(-1, BATCH_SIZE):
            yield inputs[chosen], targets[chosen]
