"""Generated series: the load of a power grid, and movements of a wrist."""

from functools import cache

import numpy as np
import torch
from torch.utils.data import TensorDataset

from .data import Split, divide, floats

PAST, FUTURE = 48, 12


@cache
def load() -> Split:
    """Two days of hourly load, and the twelve hours after; validation is what comes last."""
    rng = np.random.default_rng(0)
    hour = np.arange(2460)
    day, week = 2 * np.pi * hour / 24, 2 * np.pi * hour / 168
    series = np.sin(day) + 0.5 * np.sin(2 * day + 0.7) + 0.6 * np.cos(week) * (1 + 0.5 * np.sin(day)) + hour / 4000
    drift = np.zeros(len(hour))
    shocks = rng.normal(scale=0.15, size=len(hour))
    for now in range(1, len(hour)):
        drift[now] = 0.9 * drift[now - 1] + shocks[now]
    windows = floats(series + drift).unfold(0, PAST + FUTURE, 1)
    inputs, targets = windows[:, :PAST, None], windows[:, PAST:]
    # The windows in between would show the net hours that it has to forecast.
    end, start = 1600, 1600 + PAST + FUTURE
    return TensorDataset(inputs[:end], targets[:end]), TensorDataset(inputs[start:], targets[start:])


MOVEMENTS = 6


@cache
def movements() -> Split:
    """Three axes of an accelerometer while people sit, walk, climb stairs, run, cycle or jump."""
    rng = np.random.default_rng(0)
    count, length = 2560, 64
    labels = rng.integers(MOVEMENTS, size=count)
    pace = np.array([0.2, 1.8, 1.5, 2.7, 1.4, 2.2])[labels] * rng.normal(1, 0.12, size=count)
    force = np.array([0.1, 0.8, 0.9, 1.5, 0.6, 1.8])[labels] * rng.lognormal(0, 0.3, size=count)
    edge = np.array([0.0, 0.3, 0.6, 0.4, 0.1, 0.8])[labels]
    time = np.linspace(0, 4, length)
    phase = 2 * np.pi * (pace[:, None] * time + rng.random((count, 1)))
    step = np.sin(phase) + edge[:, None] * np.sin(2 * phase + 0.5)
    sway = np.sin(phase / 2 + rng.random((count, 1)))
    tilt = rng.normal(scale=0.5, size=(count, 3, 1))
    axes = force[:, None, None] * np.stack([step, 0.6 * sway, 0.4 * step + 0.4 * sway], 1)
    signals = axes + tilt + rng.normal(scale=0.4, size=axes.shape)
    return divide([floats(signals), torch.as_tensor(labels)], validation=512)
