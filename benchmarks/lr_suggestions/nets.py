"""The nets: some hundred to some thousand parameters each. Each function builds one, with fresh weights."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.lr_suggestions.data import VOCABULARY


def linear(inputs: int, outputs: int) -> nn.Module:
    """A linear model."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))


def mlp(inputs: int, outputs: int, width: int = 48, norm: bool = False, act: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Two hidden layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size in (inputs, width):
        layers += [nn.Linear(size, width), *([nn.BatchNorm1d(width)] if norm else []), act()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def deep_mlp(inputs: int, outputs: int, width: int = 24) -> nn.Module:
    """Six hidden layers."""
    sizes = [inputs, *[width] * 6]
    layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.GELU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, outputs))


def cnn(outputs: int, size: int = 8, norm: bool = False) -> nn.Module:
    """Two convolutions."""
    layers: list[nn.Module] = []
    for before, after in ((1, 8), (8, 16)):
        layers += [
            nn.Conv2d(before, after, 3, stride=2, padding=1),
            *([nn.BatchNorm2d(after)] if norm else []),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * (size // 4) ** 2, outputs))


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
    """A recurrent net over characters (a score for each place) or over numbers (one answer)."""

    def __init__(self, inputs: int | None = None, outputs: int = VOCABULARY, width: int = 24):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 12) if inputs is None else None
        self.gru = nn.GRU(inputs or 12, width, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, values: Tensor) -> Tensor:
        """Scores at each place, or one answer."""
        if self.embedding is not None:
            return self.head(self.gru(self.embedding(values))[0])
        return self.head(self.gru(values)[0][:, -1])


class Transformer(nn.Module):
    """One encoder layer over characters, causal or not."""

    def __init__(self, length: int = 16, causal: bool = True, width: int = 24, norm_first: bool = True):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.layer = nn.TransformerEncoderLayer(
            width, nhead=2, dim_feedforward=48, dropout=0.0, batch_first=True, norm_first=norm_first
        )
        self.head = nn.Linear(width, VOCABULARY)
        mask = nn.Transformer.generate_square_subsequent_mask(length) if causal else None
        self.register_buffer("mask", mask)

    def forward(self, codes: Tensor) -> Tensor:
        """Scores at each place."""
        return self.head(self.layer(self.embedding(codes) + self.places, src_mask=self.mask))
