"""Ground truth: how training ends at each rate of a grid. And range tests, of the same nets on the same batches."""

import math
from itertools import islice

import torch

from benchmarks.lr_suggestions.data import Data
from benchmarks.lr_suggestions.tasks import BATCH_SIZE, Task
from lit_autotune.curves.formulas import lr_ladder
from lit_autotune.planning.preview import Preview
from lit_autotune.previews.held_out import SAMPLES
from lit_autotune.previews.previews import CHECKED, LAST

STEPS = 400
GRID = [rate for i, rate in enumerate(lr_ladder(1e-7, 10.0, 25)) if i > 6 or i % 3 == 0]
"""A third of a decade apart, below 1e-5 a whole one. Regret in between is interpolated in the logarithm of the rate."""
SEEDS = range(3)

RANGES = {"1e-7 to 10": (1e-7, 10.0), "1e-8 to 1": (1e-8, 1.0)}
SWEEP_STEPS = 100
SWEEP_SEEDS = range(100, 105)
"""Other seeds than those of the ground truth: weights and batches that the verdict does not know."""

RACE_STEPS = STEPS // 4
"""The largest share of a training that a race goes through."""

SCORED = 9_999
"""Seed of the batches that races are scored on."""

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


def preview(task: Task, seed: int, rate: float) -> Preview:
    """A quarter of the training at a constant rate, from the state and on the batches of the range test of this seed.

    It is scored as the package does it: on batches of another order, at some moments of its second half.
    """
    net = task.start(seed)
    optimizer = task.optimizer(net.parameters(), lr=rate)
    held_out = list(islice(task.batches(SCORED), SAMPLES // BATCH_SIZE))
    checks = {math.ceil(share * RACE_STEPS) for share in CHECKED}
    before, losses, scores = _losses(task, net, held_out), [], []
    for step, (inputs, targets) in enumerate(islice(task.batches(seed), RACE_STEPS), 1):
        optimizer.zero_grad()
        loss = task.loss(net(inputs), targets)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            break
        loss.backward()
        optimizer.step()
        if step in checks:
            scores.append(_losses(task, net, held_out))
    last = [sum(column) / LAST for column in zip(*scores[-LAST:], strict=True)]
    return Preview(
        losses=tuple(losses),
        before=sum(before) / len(before),
        scores=tuple(last) if len(scores) == len(CHECKED) and all(map(math.isfinite, last)) else (),
    )


def _losses(task: Task, net: torch.nn.Module, batches: list[Data]) -> list[float]:
    net.eval()
    with torch.no_grad():
        losses = [float(task.loss(net(inputs), targets)) for inputs, targets in batches]
    net.train()
    return losses


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
