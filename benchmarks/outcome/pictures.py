"""Pictures drawn by formulas: shapes, textures, cells, and sounds as spectrograms."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from .data import Split, divide, floats

Array = NDArray[np.float64]

SHAPES: tuple[Callable[[Array, Array], Array], ...] = (
    lambda u, v: np.hypot(u, v) < 1,
    lambda u, v: (np.hypot(u, v) < 1) & (np.hypot(u, v) > 0.55),
    lambda u, v: np.maximum(abs(u), abs(v)) < 0.85,
    lambda u, v: (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1),
    lambda u, v: (v > -0.5) & (np.sqrt(3) * abs(u) + v < 1),
    lambda u, v: (abs(v) < 0.35) & (abs(u) < 1.1),
    lambda u, v: (np.hypot(u, v) < 1) & (v > 0),
    lambda u, v: (np.maximum(abs(u), abs(v)) < 0.9) & ((u < -0.3) | (v < -0.3)),
)
"""Disc, ring, square, cross, triangle, bar, half disc and angle, all of about size 1."""

TEXTURES: tuple[Callable[[Array, Array], Array], ...] = (
    lambda u, v: np.sin(u),
    lambda u, v: np.sin(u) * np.sin(v),
    lambda u, v: np.sign(np.sin(u)) * 0.7,
    lambda u, v: np.sin(np.hypot(u, v)),
    lambda u, v: 2.0 * ((np.sin(u) > 0.4) & (np.sin(v) > 0.4)) - 0.4,
    lambda u, v: np.sin(u + 1.5 * np.sin(v)),
)
"""Stripes, checks, bars, rings, dots and waves."""


@cache
def shapes() -> Split:
    """Noisy pictures of 16 x 16 with one of eight shapes somewhere, at some angle."""
    rng = np.random.default_rng(0)
    labels = np.arange(3072) % len(SHAPES)
    u, v = _turned(rng, len(labels), size=16, shift=3.0, scale=(3.5, 6.0))
    bright = rng.uniform(0.6, 1.2, size=(len(labels), 1, 1)) * rng.choice([-1, 1], size=(len(labels), 1, 1))
    pictures = bright * _drawn(SHAPES, labels, u, v) + rng.normal(scale=0.25, size=u.shape)
    return divide([floats(pictures[:, None]), torch.as_tensor(labels)], validation=512)


@cache
def textures() -> Split:
    """Noisy pictures of 16 x 16, each filled with one of six textures."""
    rng = np.random.default_rng(1)
    labels = np.arange(2112) % len(TEXTURES)
    u, v = _turned(rng, len(labels), size=16, shift=8.0, scale=(0.6, 1.2))
    pictures = _drawn(TEXTURES, labels, u, v) + rng.normal(scale=0.5, size=u.shape)
    return divide([floats(pictures[:, None]), torch.as_tensor(labels)], validation=512)


@cache
def cells() -> Split:
    """Pictures of 24 x 24 with up to six cells on an uneven ground, and which pixels are cell."""
    rng = np.random.default_rng(2)
    count, size = 656, 24
    mask = np.zeros((count, size, size), bool)
    pictures = np.zeros(mask.shape)
    for number in range(6):
        u, v = _turned(rng, count, size, shift=10.0, scale=(2.0, 4.5))
        there = rng.random((count, 1, 1)) < (1 if number < 2 else 0.5)
        cell = there & (np.hypot(u, v * rng.uniform(1, 1.8, size=(count, 1, 1))) < 1)
        pictures = np.where(cell, rng.uniform(0.3, 1.0, size=(count, 1, 1)), pictures)
        mask |= cell
    u, v = _turned(rng, count, size, shift=0.0, scale=(20.0, 40.0))
    pictures += u + rng.normal(scale=0.25, size=mask.shape)
    return divide([floats(pictures[:, None]), torch.as_tensor(mask, dtype=torch.long)], validation=256)


SOUNDS = 8


@cache
def sounds() -> Split:
    """Spectrograms of 32 x 32: tones, sweeps, chords, pulses, vibrato, hiss and clicks in noise."""
    rng = np.random.default_rng(3)
    labels = np.arange(2112) % SOUNDS
    waves = np.stack([_sound(rng, label) for label in labels])
    spectra = torch.stft(floats(waves), n_fft=64, hop_length=32, window=torch.hann_window(64), return_complex=True)
    decibels = torch.log(spectra.abs()[:, :32, :32] + 0.1)
    normal = (decibels - decibels.mean()) / decibels.std()
    return divide([normal[:, None], torch.as_tensor(labels)], validation=512)


def _sound(rng: np.random.Generator, label: int) -> Array:
    time = np.arange(1024) / 1024
    pitch, rate, phase = rng.uniform(80, 320), rng.uniform(4, 9), rng.uniform(0, 2 * np.pi)
    tone = np.sin(2 * np.pi * pitch * time + phase)
    sweep = rng.uniform(60, 140)
    wave = (
        lambda: tone,
        lambda: np.sin(2 * np.pi * (pitch * time + sweep * time**2 / 2) + phase),
        lambda: np.sin(2 * np.pi * (pitch * time - sweep * time**2 / 2) + phase),
        lambda: 0.7 * tone + 0.7 * np.sin(2 * np.pi * pitch * rng.uniform(1.2, 1.5) * time),
        lambda: tone * (np.sin(2 * np.pi * rate * time) > 0),
        lambda: np.sin(2 * np.pi * pitch * time + 40 / rate * np.sin(2 * np.pi * rate * time)),
        lambda: rng.normal(size=1024) * np.exp(-(((time - rng.random()) / 0.2) ** 2)),
        lambda: 6.0 * (rng.random(1024) < 0.02) * rng.choice([-1, 1], size=1024),
    )[label]()
    return rng.lognormal(0, 0.5) * wave + rng.normal(scale=0.35, size=1024)


def _turned(
    rng: np.random.Generator, count: int, size: int, shift: float, scale: tuple[float, float]
) -> tuple[Array, Array]:
    """Coordinates of all pixels, for each picture in a frame of its own."""
    angle, unit = rng.uniform(0, 2 * np.pi, size=(count, 1, 1)), rng.uniform(*scale, size=(count, 1, 1))
    line = np.arange(size) - (size - 1) / 2
    x = (line[None, None, :] - rng.uniform(-shift, shift, size=(count, 1, 1))) / unit
    y = (line[None, :, None] - rng.uniform(-shift, shift, size=(count, 1, 1))) / unit
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _drawn(formulas: tuple[Callable[[Array, Array], Array], ...], labels: Array, u: Array, v: Array) -> Array:
    return np.select([(labels == index)[:, None, None] for index in range(len(formulas))], [f(u, v) for f in formulas])
