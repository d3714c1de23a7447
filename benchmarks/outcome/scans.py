"""Pictures that were not made for this: handwritten digits, letters from fonts, and photographs."""

from functools import cache
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn import datasets
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from .data import Split, divide, floats


@cache
def digits() -> Split:
    """All 1,797 digits."""
    pictures, labels = _digits()
    return divide([pictures, labels], validation=400)


@cache
def first_digits() -> Split:
    """The digits 0 to 4."""
    pictures, labels = _digits()
    return divide([pictures[labels < 5], labels[labels < 5]], validation=256)


@cache
def last_digits() -> Split:
    """The digits 5 to 9, numbered from 0."""
    pictures, labels = _digits()
    return divide([pictures[labels >= 5], labels[labels >= 5] - 5], validation=256)


def _digits() -> tuple[Tensor, Tensor]:
    pictures, labels = datasets.load_digits(return_X_y=True)
    return floats(pictures).reshape(-1, 1, 8, 8) / 16, torch.as_tensor(labels)


FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono-Oblique", "STIXGeneral", "cmr10", "cmtt10")
"""They come with matplotlib."""


@cache
def capitals() -> Split:
    """Capital letters of seven fonts, bent and noisy."""
    return divide(_letters(ascii_uppercase, 3120, seed=0), validation=520)


@cache
def small_letters() -> Split:
    """Small letters, of which there are few."""
    return divide(_letters(ascii_lowercase, 1300, seed=1), validation=520)


def _letters(alphabet: str, count: int, seed: int) -> list[Tensor]:
    """Pictures of 16 x 16 and the number of the letter."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([_letter(letter, font) for letter in alphabet for font in FONTS])
    chosen = torch.arange(count) % len(drawn)
    # Identity, shift, size, shear and turn at once.
    affine = torch.eye(2, 3) + 0.12 * torch.randn(count, 2, 3, generator=generator)
    grid = F.affine_grid(affine, [count, 1, 16, 16], align_corners=False)
    bent = F.grid_sample(drawn[chosen], grid, align_corners=False)
    noise = 0.1 * torch.randn(bent.shape, generator=generator)
    return [bent + noise, torch.div(chosen, len(FONTS), rounding_mode="floor")]


def _letter(letter: str, font: str) -> Tensor:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    picture = Image.new("L", (32, 32))
    ImageDraw.Draw(picture).text((16, 16), letter, fill=255, font=ImageFont.truetype(path, 26), anchor="mm")
    return floats(picture).unsqueeze(0) / 255


PHOTOGRAPHS = ("china.jpg", "flower.jpg")
"""A temple and a flower; they come with scikit-learn."""


@cache
def places() -> Split:
    """Noisy pieces, and whether they are from the temple or the flower, from the upper or the lower half."""
    halves = [half for name in PHOTOGRAPHS for half in _photograph(name).chunk(2, 1)]
    generator = torch.Generator().manual_seed(0)
    train, held = (
        TensorDataset(_weathered(torch.cat(pieces), generator), torch.arange(4).repeat_interleave(len(pieces[0])))
        for pieces in zip(*(_pieces(half, train=640, held=128) for half in halves), strict=True)
    )
    return train, held


def _weathered(pieces: Tensor, generator: torch.Generator) -> Tensor:
    """In another light, with noise."""
    light = 0.25 * torch.randn(len(pieces), 3, 1, 1, generator=generator)
    return (pieces + light + 0.15 * torch.randn(pieces.shape, generator=generator) - 0.5) / 0.25


@cache
def noisy_flower() -> Split:
    """Pieces of a flower with noise, and without."""
    generator = torch.Generator().manual_seed(0)
    train, held = (
        TensorDataset(pieces + 0.15 * torch.randn(pieces.shape, generator=generator), pieces)
        for pieces in _pieces(_photograph("flower.jpg"), train=2560, held=512)
    )
    return train, held


def _photograph(name: str) -> Tensor:
    """Colours from 0 to 1, at half the resolution."""
    return F.avg_pool2d(floats(datasets.load_sample_image(name)).permute(2, 0, 1) / 255, 2)


def _pieces(picture: Tensor, train: int, held: int) -> tuple[Tensor, Tensor]:
    """Pieces of 16 x 16: for training from the left, for validation from the right."""
    border = int(0.7 * picture.shape[2])
    return _cut(picture[:, :, :border], train), _cut(picture[:, :, border:], held)


def _cut(picture: Tensor, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    pieces = picture.unfold(1, 16, 2).unfold(2, 16, 2).permute(1, 2, 0, 3, 4).flatten(0, 1)
    return pieces[torch.randperm(len(pieces), generator=generator)[:count]]
