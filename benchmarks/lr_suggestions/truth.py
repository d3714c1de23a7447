"""Ground truth: how training ends at each rate of a grid. And range tests, of the same nets on the same batches."""

import math
from collections.abc import Iterator

import torch

from benchmarks.lr_suggestions.tasks import Task
from lit_autotune.curves import lr_ladder

STEPS = 400
GRID = [rate for i, rate in enumerate(lr_ladder(1e-7, 10.0, 25)) if i > 6 or i % 3 == 0]
"""A third of a decade apart, below 1e-5 a whole one. Regret in between is interpolated in the logarithm of the rate."""
SEEDS = range(3)

RANGES = {"1e-7 to 10": (1e-7, 10.0), "1e-8 to 1": (1e-8, 1.0)}
SWEEP_STEPS = 100
SWEEP_SEEDS = range(100, 105)
"""Other seeds than those of the ground truth: weights and batches that the verdict does not know."""

HOPELESS = 1e6
"""A loss this many times the first one never comes back."""


def final_loss(task: Task, rate: float, seed: int) -> float:
    """Loss on the evaluation data after training at a constant rate; infinite if it exploded."""
    net = task.start(seed)
    optimizer = task.optimizer(net.parameters(), lr=rate or 1.0)
    first = math.inf
    for _, (inputs, targets) in zip(range(STEPS if rate else 0), task.batches(seed), strict=False):
        optimizer.zero_grad()
        loss = task.loss(net(inputs), targets)
        first = min(first, abs(loss.item()) + 1)
        if not abs(loss.item()) < HOPELESS * first:
            return math.inf
        loss.backward()
        optimizer.step()
    net.eval()
    inputs, targets = task.evaluation()
    with torch.no_grad():
        loss = float(task.loss(net(inputs), targets))
    return loss if math.isfinite(loss) else math.inf


def run(task: Task, seed: int, rate: float, steps: int) -> Iterator[float]:
    """Losses of training at a constant rate, from the state and on the batches of the range test of this seed."""
    net = task.start(seed)
    optimizer = task.optimizer(net.parameters(), lr=rate)
    for _, (inputs, targets) in zip(range(steps), task.batches(seed), strict=False):
        optimizer.zero_grad()
        loss = task.loss(net(inputs), targets)
        loss.backward()
        optimizer.step()
        yield loss.item()


def sweep(task: Task, low: float, high: float, seed: int) -> list[float]:
    """Raw losses of a range test that nobody stops."""
    net = task.start(seed)
    optimizer = task.optimizer(net.parameters(), lr=low)
    losses = []
    for rate, (inputs, targets) in zip(lr_ladder(low, high, SWEEP_STEPS), task.batches(seed), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = task.loss(net(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
