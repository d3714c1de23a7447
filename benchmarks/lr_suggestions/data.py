"""The data: scikit-learn's bundled sets, characters of the standard library, generated images and sequences.

Each function returns ``(inputs, targets)``, at most some thousand samples, the same at every call.
"""

import importlib
import inspect
import math

import torch
from sklearn import datasets
from torch import Tensor

Data = tuple[Tensor, Tensor]

VOCABULARY = 64
"""Characters are their code modulo this: all that the nets need to know is that there are this many."""


def digits(raw: bool = False, keep: range = range(10), invert: bool = False) -> Data:
    """Images of handwritten digits, 1 x 8 x 8, from 0 to 1, or from 0 to 16 as they come."""
    bunch = datasets.load_digits()
    images, labels = torch.tensor(bunch.images, dtype=torch.float32)[:, None], torch.tensor(bunch.target)
    chosen = (labels >= keep.start) & (labels < keep.stop)
    images, labels = images[chosen], labels[chosen]
    return (16 - images if invert else images) / (1 if raw else 16), labels


def pictures_of_digits() -> Data:
    """Digits as both inputs and targets, flat, for autoencoders."""
    images = digits()[0].flatten(1)
    return images, images


def table(name: str, raw: bool = False, raw_targets: bool = False) -> Data:
    """A table of scikit-learn: ``wine``, ``breast_cancer``, ``iris`` (classes) or ``diabetes`` (a number)."""
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    inputs, targets = torch.tensor(bunch.data, dtype=torch.float32), torch.tensor(bunch.target)
    if name == "diabetes":
        targets = targets.float()[:, None]
    return inputs if raw else _standard(inputs), targets if raw_targets or name != "diabetes" else _standard(targets)


def friedman(raw_targets: bool = False) -> Data:
    """Friedman's first regression problem."""
    inputs, targets = datasets.make_friedman1(n_samples=1000, noise=1.0, random_state=0)
    numbers = torch.tensor(targets, dtype=torch.float32)[:, None]
    return torch.tensor(inputs, dtype=torch.float32), numbers if raw_targets else _standard(numbers)


def moons() -> Data:
    """Two interleaved half circles."""
    inputs, labels = datasets.make_moons(n_samples=1000, noise=0.15, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def mislabelled() -> Data:
    """Digits, of which a third bear a wrong label."""
    images, labels = digits()
    wrong = torch.rand(len(labels), generator=_generator()) < 0.33
    return images, torch.where(wrong, (labels + 1 + torch.arange(len(labels)) % 9) % 10, labels)


def rows_of_digits() -> Data:
    """Digits as sequences of eight rows."""
    images, labels = digits()
    return images[:, 0], labels


def bits_of_digits() -> Data:
    """Digits, and the four bits of each."""
    images, labels = digits()
    return images, (labels[:, None] >> torch.arange(4) & 1).float()


def friedman3() -> Data:
    """Friedman's third regression problem: inputs from 0 to 1,760 as they come, an angle as the target."""
    inputs, targets = datasets.make_friedman3(n_samples=1000, noise=0.1, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)[:, None]


def rings() -> Data:
    """Three rings, one in the other."""
    generator = _generator()
    labels = torch.arange(1200) % 3
    angle = 2 * math.pi * torch.rand(1200, generator=generator)
    radius = 1 + labels + 0.15 * torch.randn(1200, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), labels


def board() -> Data:
    """The squares of a board of 3 by 3."""
    inputs = 3 * torch.rand(1500, 2, generator=_generator())
    return inputs - 1.5, inputs.long().sum(dim=1) % 2


def spirals() -> Data:
    """Three arms of a spiral."""
    generator = _generator()
    labels = torch.arange(1500) % 3
    radius = torch.rand(1500, generator=generator)
    angle = 2 * math.pi * (labels / 3 + radius) + 0.15 * torch.randn(1500, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), labels


def roll() -> Data:
    """Points on a rolled-up sheet, as they come, and how far along the sheet they are."""
    inputs, targets = datasets.make_swiss_roll(n_samples=1500, noise=0.3, random_state=0)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)[:, None]


def photo() -> Data:
    """Where in a photograph (32 waves of the place), and which colour is there."""
    image = torch.tensor(datasets.load_sample_image("china.jpg"), dtype=torch.float32)[::8, ::8] / 255
    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, image.shape[0]), torch.linspace(0, 1, image.shape[1]), indexing="ij"
    )
    place = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    phases = 2 * math.pi * place @ (4 * torch.randn(2, 16, generator=_generator()))
    return torch.cat([phases.sin(), phases.cos()], dim=1), image.flatten(0, 1)


def patches() -> Data:
    """Grey patches of a photograph, 8 x 8, flat, as both inputs and targets."""
    image = torch.tensor(datasets.load_sample_image("flower.jpg"), dtype=torch.float32).mean(dim=2) / 255
    flat = image.unfold(0, 8, 8).unfold(1, 8, 8).flatten(0, 1).flatten(1)
    return flat, flat


def characters(module: str, length: int = 16) -> Data:
    """Pieces of the source of a module of the standard library, and the same pieces one character further."""
    text = inspect.getsource(importlib.import_module(module))[:40000]
    codes = torch.tensor([ord(letter) % VOCABULARY for letter in text])
    pieces = codes.unfold(0, length + 1, 7)
    return pieces[:, :-1].contiguous(), pieces[:, 1:].contiguous()


def shapes(noise: float = 0.3) -> Data:
    """Squares, crosses, discs and stripes somewhere on a noisy 1 x 12 x 12 image."""
    generator = _generator()
    count = 1200
    labels = torch.randint(4, (count,), generator=generator)
    centres = torch.randint(3, 9, (count, 2), generator=generator)
    grid = torch.stack(torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij"))
    rows, columns = (grid[None] - centres[:, :, None, None]).unbind(dim=1)
    near = (rows.abs() <= 3) & (columns.abs() <= 3)
    kinds = [near, near & ((rows == 0) | (columns == 0)), rows**2 + columns**2 <= 9, near & (rows % 2 == 0)]
    images = torch.stack(kinds, dim=1)[torch.arange(count), labels].float()[:, None]
    return images + noise * torch.randn(images.shape, generator=generator), labels


def noisy_shapes() -> Data:
    """Noisy images, flat, and the same without the noise."""
    return shapes()[0].flatten(1), shapes(noise=0)[0].flatten(1)


def waves(length: int = 24) -> Data:
    """Sums of two sines, and their next value."""
    generator = _generator()
    frequency, phase = (torch.rand(1500, 2, 1, generator=generator) * scale for scale in (1.0, 2 * math.pi))
    values = torch.sin(frequency * torch.arange(length + 1) + phase).sum(dim=1)
    values = values + 0.05 * torch.randn(values.shape, generator=generator)
    return values[:, :-1, None], values[:, -1:]


def windows() -> Data:
    """Waves as a flat window, and their next value."""
    inputs, targets = waves()
    return inputs.flatten(1), targets


def funnel() -> Data:
    """A number, and another whose mean and spread depend on it: for a likelihood, which may be above one."""
    generator = _generator()
    inputs = 4 * torch.rand(1500, 1, generator=generator) - 2
    spread = 0.02 + 0.1 * (inputs > 0)
    return inputs, torch.sin(2 * inputs) / 4 + spread * torch.randn(inputs.shape, generator=generator)


def adding(length: int = 12) -> Data:
    """Numbers, two of them marked; the sum of the two. A plateau: all but the mean is found late."""
    generator = _generator()
    numbers = torch.rand(2000, length, generator=generator)
    marks = torch.zeros_like(numbers).scatter_(1, torch.rand(numbers.shape, generator=generator).argsort(1)[:, :2], 1.0)
    return torch.stack([numbers, marks], dim=2), (numbers * marks).sum(dim=1, keepdim=True)


def parity(bits: int = 4) -> Data:
    """Signs, of which the first few decide by their product. A plateau: no single one says anything."""
    inputs = torch.randint(2, (2000, bits + 4), generator=_generator()).float() * 2 - 1
    return inputs, (inputs[:, :bits].prod(dim=1) > 0).long()


def reverse(length: int = 8) -> Data:
    """Letters, and the same backwards."""
    letters = torch.randint(16, (2000, length), generator=_generator())
    return letters, letters.flip(1)


def _standard(values: Tensor) -> Tensor:
    return (values - values.mean(dim=0)) / values.std(dim=0)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
