"""The nets: some dozen to some thousand parameters each. Each function builds one, with fresh weights."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.lr_suggestions.sequences import VOCABULARY


def linear(inputs: int, outputs: int) -> nn.Module:
    """A linear model."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))


def mlp(inputs: int, outputs: int, width: int = 48, norm: bool = False, act: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Two hidden layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size in (inputs, width):
        layers += [nn.Linear(size, width), *([nn.BatchNorm1d(width)] if norm else []), act()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def deep_mlp(inputs: int, outputs: int, width: int = 24, act: type[nn.Module] = nn.GELU) -> nn.Module:
    """Six hidden layers."""
    sizes = [inputs, *[width] * 6]
    layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), act())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, outputs))


class Residual(nn.Module):
    """What some layers make of a value is added to it."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, values: Tensor) -> Tensor:
        """The sum."""
        return values + self.layers(values)


def residual_mlp(inputs: int, outputs: int, width: int = 32) -> nn.Module:
    """Two residual blocks with LayerNorm."""
    blocks = [
        Residual(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        for _ in range(2)
    ]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, width), *blocks, nn.LayerNorm(width), nn.Linear(width, outputs)
    )


def cnn(outputs: int, size: int = 8, norm: bool = False, channels: int = 1) -> nn.Module:
    """Two convolutions."""
    layers: list[nn.Module] = []
    for before, after in ((channels, 8), (8, 16)):
        layers += [
            nn.Conv2d(before, after, 3, stride=2, padding=1),
            *([nn.BatchNorm2d(after)] if norm else []),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * (size // 4) ** 2, outputs))


def residual_cnn(outputs: int, width: int = 12) -> nn.Module:
    """A convolution, a residual block with BatchNorm, and a mean over all places."""

    def convolution(before: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width)]

    block = Residual(*convolution(width), nn.ReLU(), *convolution(width))
    pool = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*convolution(1, stride=2), nn.ReLU(), block, *pool, nn.Linear(width, outputs))


def image_to_image(width: int = 8) -> nn.Module:
    """Three convolutions, from each pixel to a number for it."""
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))


def signal_cnn(outputs: int, width: int = 12) -> nn.Module:
    """Two convolutions along time with BatchNorm, and a mean over it."""
    layers: list[nn.Module] = []
    for before in (1, width):
        layers += [nn.Conv1d(before, width, 5, stride=2, padding=2), nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, outputs))


def autoencoder(size: int, code: int = 8, norm: bool = False) -> nn.Module:
    """To a short code and back."""
    normed = [nn.BatchNorm1d(48)] if norm else []
    return nn.Sequential(
        nn.Linear(size, 48),
        *normed,
        nn.ReLU(),
        nn.Linear(48, code),
        nn.Linear(code, 48),
        nn.ReLU(),
        nn.Linear(48, size),
    )


def embedding_mlp(length: int = 16) -> nn.Module:
    """Each next character from the two before it."""
    return _Windowed(length)


class _Windowed(nn.Module):
    def __init__(self, length: int):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 12)
        self.head = nn.Sequential(nn.Linear(24, 48), nn.Tanh(), nn.Linear(48, VOCABULARY))

    def forward(self, codes: Tensor) -> Tensor:
        """Scores of the next character at each place."""
        values = self.embedding(codes)
        before = torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1]], dim=1)
        return self.head(torch.cat([before, values], dim=2))


class GRU(nn.Module):
    """A recurrent net over characters (a score for each place, or one answer) or over numbers (one answer)."""

    def __init__(
        self,
        inputs: int | None = None,
        outputs: int = VOCABULARY,
        width: int = 24,
        layers: int = 1,
        each: bool = True,
    ):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 12) if inputs is None else None
        self.gru = nn.GRU(inputs or 12, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, outputs)
        self.each = each and inputs is None

    def forward(self, values: Tensor) -> Tensor:
        """Scores at each place, or one answer."""
        found = self.gru(values if self.embedding is None else self.embedding(values))[0]
        return self.head(found if self.each else found[:, -1])


class Transformer(nn.Module):
    """One encoder layer over characters or numbers, causal or not; a score for each place, or one answer."""

    def __init__(
        self,
        length: int = 16,
        causal: bool = True,
        width: int = 24,
        norm_first: bool = True,
        inputs: int | None = None,
        outputs: int = VOCABULARY,
        each: bool = True,
    ):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width) if inputs is None else nn.Linear(inputs, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.layer = nn.TransformerEncoderLayer(
            width, nhead=2, dim_feedforward=48, dropout=0.0, batch_first=True, norm_first=norm_first
        )
        self.head = nn.Linear(width, outputs)
        self.each = each
        mask = nn.Transformer.generate_square_subsequent_mask(length) if causal else None
        self.register_buffer("mask", mask)

    def forward(self, values: Tensor) -> Tensor:
        """Scores at each place, or one answer."""
        found = self.layer(self.embedding(values) + self.places, src_mask=self.mask)
        return self.head(found if self.each else found.mean(dim=1))
