"""The tasks, in two halves: rules and thresholds were developed on one, and are judged by the other."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.lr_suggestions import data, nets

BATCH_SIZE = 32
EVALUATION_SIZE = 512

Optimizer = Callable[..., torch.optim.Optimizer]
SGD, ADAM, ADAMW, RMSPROP = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop
MOMENTUM: Optimizer = partial(torch.optim.SGD, momentum=0.9)


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
        half: Whether it was looked at while rules were developed.
        load: Makes inputs and targets.
        build: Makes the net.
        optimizer: Takes parameters and ``lr``.
        loss: Takes outputs and targets.
        before: Data that the net was trained on before, for fine-tuning; its last layer is new.
    """

    name: str
    half: Literal["development", "held-out"]
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


mse = functional.mse_loss
of, make = partial, partial
dev, held = partial(Task, half="development"), partial(Task, half="held-out")

TASKS: tuple[Task, ...] = (
    dev("digits, MLP, SGD", load=data.digits, build=make(nets.mlp, 64, 10), optimizer=SGD),
    dev("digits, CNN, AdamW", load=data.digits, build=make(nets.cnn, 10), optimizer=ADAMW),
    dev(
        "digits, CNN with BatchNorm, momentum",
        load=data.digits,
        build=make(nets.cnn, 10, norm=True),
        optimizer=MOMENTUM,
    ),
    dev(
        "digits, autoencoder, Adam",
        load=data.pictures_of_digits,
        build=make(nets.autoencoder, 64),
        optimizer=ADAM,
        loss=mse,
    ),
    dev(
        "digits, CNN fine-tuned to other digits, SGD",
        load=of(data.digits, keep=range(5, 10)),
        before=of(data.digits, keep=range(5)),
        build=make(nets.cnn, 10),
        optimizer=SGD,
    ),
    dev("wine, MLP, Adam", load=of(data.table, "wine"), build=make(nets.mlp, 13, 3), optimizer=ADAM),
    dev(
        "raw cancer, linear, Adam",
        load=of(data.table, "breast_cancer", raw=True),
        build=make(nets.linear, 30, 2),
        optimizer=ADAM,
    ),
    dev(
        "raw diabetes, MLP, Adam",
        load=of(data.table, "diabetes", raw=True, raw_targets=True),
        build=make(nets.mlp, 10, 1),
        optimizer=ADAM,
        loss=mse,
    ),
    dev("characters, GRU, Adam", load=of(data.characters, "argparse"), build=nets.GRU, optimizer=ADAM),
    dev(
        "characters, transformer, momentum",
        load=of(data.characters, "difflib"),
        build=nets.Transformer,
        optimizer=MOMENTUM,
    ),
    dev("characters, MLP, RMSprop", load=of(data.characters, "textwrap"), build=nets.embedding_mlp, optimizer=RMSPROP),
    dev("shapes, CNN, momentum", load=data.shapes, build=make(nets.cnn, 4, size=12), optimizer=MOMENTUM),
    dev("waves, MLP, SGD", load=data.windows, build=make(nets.mlp, 24, 1), optimizer=SGD, loss=mse),
    dev("adding, GRU, Adam (plateau)", load=data.adding, build=make(nets.GRU, 2, 1), optimizer=ADAM, loss=mse),
    dev(
        "Friedman, MLP with BatchNorm, RMSprop",
        load=data.friedman,
        build=make(nets.mlp, 10, 1, norm=True),
        optimizer=RMSPROP,
        loss=mse,
    ),
    dev("photograph, MLP, Adam", load=data.photo, build=make(nets.mlp, 32, 3), optimizer=ADAM, loss=mse),
    dev(
        "funnel, MLP, Adam (negative loss)",
        load=data.funnel,
        build=make(nets.mlp, 1, 2, act=nn.Tanh),
        optimizer=ADAM,
        loss=gaussian,
    ),
    held("raw digits, MLP, Adam", load=of(data.digits, raw=True), build=make(nets.mlp, 64, 10), optimizer=ADAM),
    held("digits, CNN with BatchNorm, SGD", load=data.digits, build=make(nets.cnn, 10, norm=True), optimizer=SGD),
    held("raw digits, linear, SGD", load=of(data.digits, raw=True), build=make(nets.linear, 64, 10), optimizer=SGD),
    held(
        "digits, autoencoder, RMSprop",
        load=data.pictures_of_digits,
        build=make(nets.autoencoder, 64),
        optimizer=RMSPROP,
        loss=mse,
    ),
    held(
        "digits, MLP fine-tuned to inverted ones, Adam",
        load=of(data.digits, invert=True),
        before=data.digits,
        build=make(nets.mlp, 64, 10),
        optimizer=ADAM,
    ),
    held("raw wine, MLP, SGD", load=of(data.table, "wine", raw=True), build=make(nets.mlp, 13, 3), optimizer=SGD),
    held(
        "cancer, MLP, momentum", load=of(data.table, "breast_cancer"), build=make(nets.mlp, 30, 2), optimizer=MOMENTUM
    ),
    held(
        "diabetes, linear, SGD",
        load=of(data.table, "diabetes"),
        build=make(nets.linear, 10, 1),
        optimizer=SGD,
        loss=mse,
    ),
    held(
        "iris, MLP with BatchNorm, AdamW",
        load=of(data.table, "iris"),
        build=make(nets.mlp, 4, 3, norm=True),
        optimizer=ADAMW,
    ),
    held("characters, GRU, RMSprop", load=of(data.characters, "calendar"), build=nets.GRU, optimizer=RMSPROP),
    held(
        "characters, transformer, AdamW", load=of(data.characters, "zipfile"), build=nets.Transformer, optimizer=ADAMW
    ),
    held(
        "reversed letters, transformer, Adam",
        load=data.reverse,
        build=make(nets.Transformer, 8, causal=False, norm_first=False),
        optimizer=ADAM,
    ),
    held("shapes, CNN, Adam", load=data.shapes, build=make(nets.cnn, 4, size=12), optimizer=ADAM),
    held(
        "shapes, autoencoder with BatchNorm, AdamW",
        load=data.noisy_shapes,
        build=make(nets.autoencoder, 144, 16, norm=True),
        optimizer=ADAMW,
        loss=mse,
    ),
    held("waves, GRU, momentum", load=data.waves, build=make(nets.GRU, 1, 1), optimizer=MOMENTUM, loss=mse),
    held("parity, MLP, SGD (plateau)", load=data.parity, build=make(nets.mlp, 8, 2), optimizer=SGD),
    held("moons, MLP, momentum", load=data.moons, build=make(nets.mlp, 2, 2), optimizer=MOMENTUM),
    held(
        "patches, autoencoder, momentum",
        load=data.patches,
        build=make(nets.autoencoder, 64),
        optimizer=MOMENTUM,
        loss=mse,
    ),
    held(
        "funnel, MLP, SGD (negative loss)",
        load=data.funnel,
        build=make(nets.mlp, 1, 2, act=nn.Tanh),
        optimizer=SGD,
        loss=gaussian,
    ),
)
