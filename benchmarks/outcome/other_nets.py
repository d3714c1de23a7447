"""Nets for tables, text, series and recommendations."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .nets import transformer


def mlp(*widths: int, norm: bool = False, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers of these widths with ReLU in between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] if norm else []), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(*widths[-2:]))


class CharGPT(nn.Module):
    """Predicts each next character from those before it."""

    def __init__(self, characters: int, context: int, width: int = 32, depth: int = 2):
        super().__init__()
        self.characters = nn.Embedding(characters, width)
        self.positions = nn.Parameter(0.02 * torch.randn(1, context, width))
        self.blocks = transformer(width, depth)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, characters))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(context))

    def forward(self, text: Tensor) -> Tensor:
        tokens = self.blocks(self.characters(text) + self.positions, mask=self.mask, is_causal=True)
        # `cross_entropy` wants the classes second.
        return self.head(tokens).transpose(1, 2)


class WordAverage(nn.Module):
    """Classifies the mean of all word vectors."""

    def __init__(self, vocabulary: int, classes: int, width: int = 64):
        super().__init__()
        self.words = nn.EmbeddingBag(vocabulary, width)
        self.head = nn.Linear(width, classes)

    def forward(self, text: Tensor) -> Tensor:
        return self.head(self.words(text))


class Forecaster(nn.Module):
    """An LSTM reads the past; a linear layer puts out the future at once."""

    def __init__(self, future: int, width: int = 32):
        super().__init__()
        self.lstm = nn.LSTM(1, width, batch_first=True)
        self.head = nn.Linear(width, future)

    def forward(self, past: Tensor) -> Tensor:
        states, _ = self.lstm(past)
        return self.head(states[:, -1])


class CausalBlock(nn.Module):
    """A dilated convolution that sees no future, beside a shortcut."""

    def __init__(self, channels: int, width: int, dilation: int):
        super().__init__()
        self.past = 2 * dilation
        self.convolution = nn.Conv1d(channels, width, 3, dilation=dilation)
        self.shortcut = nn.Identity() if channels == width else nn.Conv1d(channels, width, 1)

    def forward(self, signal: Tensor) -> Tensor:
        seen = F.relu(self.convolution(F.pad(signal, (self.past, 0))))
        return F.relu(seen + self.shortcut(signal))


class TCN(nn.Module):
    """Causal convolutions, each looking twice as far back as the one before."""

    def __init__(self, channels: int, classes: int, width: int = 16, depth: int = 4):
        super().__init__()
        widths = [channels] + [width] * depth
        self.blocks = nn.Sequential(*(CausalBlock(widths[n], widths[n + 1], 2**n) for n in range(depth)))
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, classes))

    def forward(self, signal: Tensor) -> Tensor:
        return self.head(self.blocks(signal).mean(2))


class MatrixFactorization(nn.Module):
    """A person's vector times a film's, and what is special about either."""

    def __init__(self, people: int, films: int, width: int = 16, average: float = 3.5):
        super().__init__()
        self.people, self.films = nn.Embedding(people, width), nn.Embedding(films, width)
        self.person_bias, self.film_bias = nn.Embedding(people, 1), nn.Embedding(films, 1)
        self.average = nn.Parameter(torch.tensor(average))
        for vectors in (self.people, self.films):
            nn.init.normal_(vectors.weight, std=0.1)
        for bias in (self.person_bias, self.film_bias):
            nn.init.zeros_(bias.weight)

    def forward(self, person: Tensor, film: Tensor) -> Tensor:
        liking = (self.people(person) * self.films(film)).sum(1)
        return self.average + liking + (self.person_bias(person) + self.film_bias(film)).squeeze(1)


class FactorizationMachine(nn.Module):
    """A weight for every value of every field, and a vector for every pair of them."""

    def __init__(self, fields: Sequence[int], width: int = 8):
        super().__init__()
        self.register_buffer("starts", torch.tensor([0, *fields[:-1]]).cumsum(0))
        self.weights, self.vectors = nn.Embedding(sum(fields), 1), nn.Embedding(sum(fields), width)
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.weights.weight)
        nn.init.normal_(self.vectors.weight, std=0.05)

    def forward(self, columns: Tensor) -> Tensor:
        codes = columns + self.starts
        vectors = self.vectors(codes)
        pairs = 0.5 * (vectors.sum(1) ** 2 - (vectors**2).sum(1)).sum(1)
        return self.bias + self.weights(codes).sum((1, 2)) + pairs
