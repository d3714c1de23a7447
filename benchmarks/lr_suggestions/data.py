"""The data: what is shared, and tables and points. Also ``pictures`` and ``sequences``.

Each function returns ``(inputs, targets)``, at most some thousand samples, the same at every call.
"""

import math

import torch
from sklearn import datasets
from torch import Tensor

Data = tuple[Tensor, Tensor]


def table(name: str, raw: bool = False, raw_targets: bool = False) -> Data:
    """A table of scikit-learn: ``wine``, ``breast_cancer``, ``iris`` (classes) or ``diabetes`` (a number)."""
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    inputs, targets = torch.tensor(bunch.data, dtype=torch.float32), torch.tensor(bunch.target)
    if name == "diabetes":
        targets = targets.float()[:, None]
    return inputs if raw else standard(inputs), targets if raw_targets or name != "diabetes" else standard(targets)


def friedman(raw_targets: bool = False) -> Data:
    """Friedman's first regression problem."""
    inputs, targets = datasets.make_friedman1(n_samples=1000, noise=1.0, random_state=0)
    numbers = torch.tensor(targets, dtype=torch.float32)[:, None]
    return torch.tensor(inputs, dtype=torch.float32), numbers if raw_targets else standard(numbers)


def moons() -> Data:
    """Two interleaved half circles."""
    inputs, labels = datasets.make_moons(n_samples=1000, noise=0.15, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def friedman3() -> Data:
    """Friedman's third regression problem: inputs from 0 to 1,760 as they come, an angle as the target."""
    inputs, targets = datasets.make_friedman3(n_samples=1000, noise=0.1, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)[:, None]


def rings() -> Data:
    """Three rings, one in the other."""
    generator = seeded()
    labels = torch.arange(1200) % 3
    angle = 2 * math.pi * torch.rand(1200, generator=generator)
    radius = 1 + labels + 0.15 * torch.randn(1200, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), labels


def board() -> Data:
    """The squares of a board of 3 by 3."""
    inputs = 3 * torch.rand(1500, 2, generator=seeded())
    return inputs - 1.5, inputs.long().sum(dim=1) % 2


def spirals() -> Data:
    """Three arms of a spiral."""
    generator = seeded()
    labels = torch.arange(1500) % 3
    radius = torch.rand(1500, generator=generator)
    angle = 2 * math.pi * (labels / 3 + radius) + 0.15 * torch.randn(1500, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), labels


def roll() -> Data:
    """Points on a rolled-up sheet, as they come, and how far along the sheet they are."""
    inputs, targets = datasets.make_swiss_roll(n_samples=1500, noise=0.3, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)[:, None]


def funnel() -> Data:
    """A number, and another whose mean and spread depend on it: for a likelihood, which may be above one."""
    generator = seeded()
    inputs = 4 * torch.rand(1500, 1, generator=generator) - 2
    spread = 0.02 + 0.1 * (inputs > 0)
    return inputs, torch.sin(2 * inputs) / 4 + spread * torch.randn(inputs.shape, generator=generator)


def parity(bits: int = 4) -> Data:
    """Signs, of which the first few decide by their product. A plateau: no single one says anything."""
    inputs = torch.randint(2, (2000, bits + 4), generator=seeded()).float() * 2 - 1
    return inputs, (inputs[:, :bits].prod(dim=1) > 0).long()


def alcohol() -> Data:
    """The alcohol in a wine, from all else that is known of it."""
    inputs, _ = table("wine")
    return inputs[:, 1:], inputs[:, :1]


def severe() -> Data:
    """Whether diabetes went worse than for most."""
    inputs, targets = table("diabetes")
    return inputs, (targets > targets.median()).long()[:, 0]


def blobs() -> Data:
    """Six heaps of points, some way from zero."""
    inputs, labels = datasets.make_blobs(n_samples=1200, n_features=5, centers=6, cluster_std=3.0, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def classes(mislabelled: float = 0.01) -> Data:
    """Four classes in twenty features, of which eight matter; some labels are drawn by lot."""
    inputs, labels = datasets.make_classification(
        n_samples=1500, n_features=20, n_informative=8, n_classes=4, flip_y=mislabelled, random_state=0
    )
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def shells() -> Data:
    """Three shells around zero, in four dimensions."""
    inputs, labels = datasets.make_gaussian_quantiles(n_samples=1500, n_features=4, n_classes=3, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def topics() -> Data:
    """How often each of thirty words occurs in a text, and which of five topics it has: any number of them."""
    inputs, targets = datasets.make_multilabel_classification(
        n_samples=1500, n_features=30, n_classes=5, random_state=0
    )
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)


def plane() -> Data:
    """A linear function of twenty features, of which ten matter, and noise."""
    inputs, targets = datasets.make_regression(
        n_samples=1000, n_features=20, n_informative=10, noise=40.0, random_state=0
    )
    return torch.tensor(inputs, dtype=torch.float32), standard(torch.tensor(targets, dtype=torch.float32)[:, None])


def friedman2() -> Data:
    """Friedman's second regression problem: inputs from 0 to 1,760 as they come."""
    inputs, targets = datasets.make_friedman2(n_samples=1000, noise=50.0, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), standard(torch.tensor(targets, dtype=torch.float32)[:, None])


def curve() -> Data:
    """Points on a sheet bent to an S, and how far along the sheet they are."""
    inputs, targets = datasets.make_s_curve(n_samples=1500, noise=0.1, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), standard(torch.tensor(targets, dtype=torch.float32)[:, None])


def pendulum() -> Data:
    """Angle and speed of a damped pendulum, and its angle two seconds later, measured well: for a likelihood."""
    generator = seeded()
    inputs = 4 * torch.rand(1500, 2, generator=generator) - 2
    angle, speed = inputs.split(1, dim=1)
    for _ in range(100):
        speed = speed - 0.02 * (angle.sin() + 0.2 * speed)
        angle = angle + 0.02 * speed
    return inputs, angle + 0.05 * torch.randn(angle.shape, generator=generator)


def standard(values: Tensor) -> Tensor:
    """Mean 0 and spread 1, for each column."""
    return (values - values.mean(dim=0)) / values.std(dim=0)


def seeded() -> torch.Generator:
    """The same random numbers for each data set."""
    return torch.Generator().manual_seed(0)
