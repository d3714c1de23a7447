"""The data: pictures, that is scikit-learn's digits and photographs, and generated ones."""

import math

import torch
from sklearn import datasets
from torch import Tensor
from torch.nn import functional

from benchmarks.lr_suggestions import data


def digits(raw: bool = False, keep: range = range(10), invert: bool = False) -> data.Data:
    """Images of handwritten digits, 1 x 8 x 8, from 0 to 1, or from 0 to 16 as they come."""
    bunch = datasets.load_digits()
    images, labels = torch.tensor(bunch.images, dtype=torch.float32)[:, None], torch.tensor(bunch.target)
    chosen = (labels >= keep.start) & (labels < keep.stop)
    images, labels = images[chosen], labels[chosen]
    return (16 - images if invert else images) / (1 if raw else 16), labels


def pictures_of_digits() -> data.Data:
    """Digits as both inputs and targets, flat, for autoencoders."""
    images = digits()[0].flatten(1)
    return images, images


def mislabelled() -> data.Data:
    """Digits, of which a third bear a wrong label."""
    images, labels = digits()
    wrong = torch.rand(len(labels), generator=data.seeded()) < 0.33
    return images, torch.where(wrong, (labels + 1 + torch.arange(len(labels)) % 9) % 10, labels)


def rows_of_digits() -> data.Data:
    """Digits as sequences of eight rows."""
    images, labels = digits()
    return images[:, 0], labels


def bits_of_digits() -> data.Data:
    """Digits, and the four bits of each."""
    images, labels = digits()
    return images, (labels[:, None] >> torch.arange(4) & 1).float()


def photo() -> data.Data:
    """Where in a photograph (32 waves of the place), and which colour is there."""
    image = torch.tensor(datasets.load_sample_image("china.jpg"), dtype=torch.float32)[::8, ::8] / 255
    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, image.shape[0]), torch.linspace(0, 1, image.shape[1]), indexing="ij"
    )
    place = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    phases = 2 * math.pi * place @ (4 * torch.randn(2, 16, generator=data.seeded()))
    return torch.cat([phases.sin(), phases.cos()], dim=1), image.flatten(0, 1)


def patches() -> data.Data:
    """Grey patches of a photograph, 8 x 8, flat, as both inputs and targets."""
    image = torch.tensor(datasets.load_sample_image("flower.jpg"), dtype=torch.float32).mean(dim=2) / 255
    flat = image.unfold(0, 8, 8).unfold(1, 8, 8).flatten(0, 1).flatten(1)
    return flat, flat


def shapes(noise: float = 0.3) -> data.Data:
    """Squares, crosses, discs and stripes somewhere on a noisy 1 x 12 x 12 image."""
    generator = data.seeded()
    count = 1200
    labels = torch.randint(4, (count,), generator=generator)
    centres = torch.randint(3, 9, (count, 2), generator=generator)
    grid = torch.stack(torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij"))
    rows, columns = (grid[None] - centres[:, :, None, None]).unbind(dim=1)
    near = (rows.abs() <= 3) & (columns.abs() <= 3)
    kinds = [near, near & ((rows == 0) | (columns == 0)), rows**2 + columns**2 <= 9, near & (rows % 2 == 0)]
    images = torch.stack(kinds, dim=1)[torch.arange(count), labels].float()[:, None]
    return images + noise * torch.randn(images.shape, generator=generator), labels


def noisy_shapes() -> data.Data:
    """Noisy images, flat, and the same without the noise."""
    return shapes()[0].flatten(1), shapes(noise=0)[0].flatten(1)


def turned_digits() -> data.Data:
    """Digits, each turned by none to three quarters, and by how many."""
    images, _ = digits()
    turns = torch.arange(len(images)) % 4
    return torch.stack([image.rot90(int(turn), (1, 2)) for image, turn in zip(images, turns, strict=True)]), turns


def sums_of_digits() -> data.Data:
    """Two digits side by side, and their sum."""
    images, labels = digits()
    others = torch.randperm(len(images), generator=data.seeded())
    return torch.cat([images, images[others]], dim=3), labels + labels[others]


def odd_digits() -> data.Data:
    """Digits, and whether they are odd."""
    images, labels = digits()
    return images, labels % 2


def numbers_of_digits() -> data.Data:
    """Digits, and each as a number, standardized."""
    images, labels = digits()
    return images, data.standard(labels[:, None].float())


def halves_of_digits() -> data.Data:
    """Upper halves of digits, and the lower ones, flat."""
    flat = digits()[0].flatten(1)
    return flat[:, :32], flat[:, 32:]


def noisy_digits() -> data.Data:
    """Noisy digits, flat, and the same without the noise."""
    flat = digits()[0].flatten(1)
    return flat + 0.3 * torch.randn(flat.shape, generator=data.seeded()), flat


def columns_of_digits() -> data.Data:
    """Digits as sequences of eight columns."""
    images, labels = digits()
    return images[:, 0].mT.contiguous(), labels


def two_photos() -> data.Data:
    """Coloured pieces of two photographs, 3 x 8 x 8, and which one they are from."""
    pieces = [_pieces("china.jpg", 8), _pieces("flower.jpg", 8)]
    labels = [torch.full((len(some),), label) for label, some in enumerate(pieces)]
    return torch.cat(pieces), torch.cat(labels)


def coloured_patches() -> data.Data:
    """Coloured patches of a photograph, 6 x 6, flat, as both inputs and targets."""
    flat = _pieces("china.jpg", 6).flatten(1)
    return flat, flat


def dots() -> data.Data:
    """One to four dots somewhere on a noisy 1 x 12 x 12 image, and how many there are besides the first."""
    generator = data.seeded()
    labels = torch.randint(4, (1500,), generator=generator)
    places = torch.rand(1500, 100, generator=generator).argsort(dim=1)[:, :4]
    drawn = (torch.arange(4) <= labels[:, None]).float()
    points = torch.zeros(1500, 100).scatter_(1, places, drawn).view(-1, 1, 10, 10)
    images = functional.conv_transpose2d(points, torch.tensor([[[[0.2, 0.5, 0.2], [0.5, 1, 0.5], [0.2, 0.5, 0.2]]]]))
    return images + 0.05 * torch.randn(images.shape, generator=generator), labels


def gratings() -> data.Data:
    """Noisy 1 x 12 x 12 images of waves, and which of six ways these run."""
    generator = data.seeded()
    labels = torch.arange(1500) % 6
    frequency, phase = 0.8 + 0.8 * torch.rand(1500, generator=generator), 6.3 * torch.rand(1500, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    angle, frequency, phase = (each[:, None, None] for each in (math.pi * labels / 6, frequency, phase))
    images = torch.sin(frequency * (angle.cos() * columns + angle.sin() * rows) + phase)[:, None]
    return images + 0.5 * torch.randn(images.shape, generator=generator), labels


def masks_of_shapes() -> data.Data:
    """Noisy shapes, and where each is."""
    return shapes(noise=0.5)[0], shapes(noise=0)[0]


def _pieces(name: str, size: int) -> Tensor:
    """Square pieces of a photograph, with gaps in between."""
    image = torch.tensor(datasets.load_sample_image(name), dtype=torch.float32) / 255
    return image.unfold(0, size, 16).unfold(1, size, 16).flatten(0, 1).contiguous()
