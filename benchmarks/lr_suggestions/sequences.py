"""The data: sequences, that is texts of the standard library, and generated ones."""

import importlib
import inspect
import io
import keyword
import math
import tokenize
from collections.abc import Iterator
from pydoc_data.topics import topics

import torch

from benchmarks.lr_suggestions import data

VOCABULARY = 64
"""Characters are their code modulo this: all that the nets need to know is that there are this many."""


def characters(module: str, length: int = 16) -> data.Data:
    """Pieces of the source of a module of the standard library, and the same pieces one character further."""
    return _following(_codes(_source(module)[:40000]), length)


def prose(length: int = 16) -> data.Data:
    """Pieces of an English text, Python's help, and the same pieces one character further."""
    return _following(_codes("".join(topics.values())[:40000]), length)


def kinds_of_words(length: int = 12) -> data.Data:
    """Names, numbers, strings, comments and keywords of source code, once each, by their ends; and which they are."""
    kinds = (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.COMMENT)
    words = {
        token.string: len(kinds) if keyword.iskeyword(token.string) else kinds.index(token.type)
        for module in ("optparse", "smtplib", "datetime")
        for token in _tokens(module)
        if token.type in kinds
    }
    return torch.tensor([_codes(word[-length:].rjust(length)) for word in words]), torch.tensor([*words.values()])


def kinds_of_tokens(length: int = 16) -> data.Data:
    """Source code as names, numbers, brackets and operators, each just its kind, and the same one token further."""
    return _following([token.exact_type % VOCABULARY for token in _tokens("optparse")], length)


def modules_of_lines(length: int = 24) -> data.Data:
    """Beginnings of lines of source code, and which of four modules they are from."""
    lines, labels = [], []
    for label, module in enumerate(("mailbox", "ftplib", "turtle", "configparser")):
        long = [line.strip() for line in _source(module).splitlines() if len(line.strip()) >= length][:500]
        lines += [_codes(line[:length]) for line in long]
        labels += [label] * len(long)
    return torch.tensor(lines), torch.tensor(labels)


def waves(length: int = 24) -> data.Data:
    """Sums of two sines, and their next value."""
    generator = data.seeded()
    frequency, phase = (torch.rand(1500, 2, 1, generator=generator) * scale for scale in (1.0, 2 * math.pi))
    values = torch.sin(frequency * torch.arange(length + 1) + phase).sum(dim=1)
    values = values + 0.05 * torch.randn(values.shape, generator=generator)
    return values[:, :-1, None], values[:, -1:]


def windows() -> data.Data:
    """Waves as a flat window, and their next value."""
    inputs, targets = waves()
    return inputs.flatten(1), targets


def adding(length: int = 12) -> data.Data:
    """Numbers, two of them marked; the sum of the two. A plateau: all but the mean is found late."""
    generator = data.seeded()
    numbers = torch.rand(2000, length, generator=generator)
    marks = torch.zeros_like(numbers).scatter_(1, torch.rand(numbers.shape, generator=generator).argsort(1)[:, :2], 1.0)
    return torch.stack([numbers, marks], dim=2), (numbers * marks).sum(dim=1, keepdim=True)


def reverse(length: int = 8) -> data.Data:
    """Letters, and the same backwards."""
    letters = torch.randint(16, (2000, length), generator=data.seeded())
    return letters, letters.flip(1)


def first_letters(length: int = 10) -> data.Data:
    """Letters, and the first of them. A plateau: a recurrent net has to keep it all the way."""
    letters = torch.randint(8, (2000, length), generator=data.seeded())
    return letters, letters[:, 0]


def swings(length: int = 12) -> data.Data:
    """Pieces of a series in which each value depends on the two before it, and the next value."""
    noise = torch.randn(3000, generator=data.seeded()).tolist()
    values = [0.0, 0.0]
    for each in noise:
        values.append(1.6 * values[-1] - 0.8 * values[-2] + each)
    pieces = data.standard(torch.tensor(values)).unfold(0, length + 1, 2)
    return pieces[:, :-1, None].contiguous(), pieces[:, -1:].contiguous()


def signals(length: int = 32) -> data.Data:
    """Noisy sines, squares, triangles and saws, 1 x 32, and which of these they are."""
    generator = data.seeded()
    labels = torch.arange(1500) % 4
    periods, phase = 2 + 2 * torch.rand(1500, 1, generator=generator), torch.rand(1500, 1, generator=generator)
    turns = (periods * torch.arange(length) / length + phase) % 1
    sine = torch.sin(2 * math.pi * turns)
    kinds = torch.stack([sine, sine.sign(), 4 * (turns - 0.5).abs() - 1, 2 * turns - 1], dim=1)
    values = kinds[torch.arange(1500), labels][:, None]
    return values + 0.2 * torch.randn(values.shape, generator=generator), labels


def _source(module: str) -> str:
    return inspect.getsource(importlib.import_module(module))


def _tokens(module: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(_source(module)).readline)


def _codes(text: str) -> list[int]:
    return [ord(letter) % VOCABULARY for letter in text]


def _following(codes: list[int], length: int) -> data.Data:
    """Pieces, and the same pieces one place further."""
    pieces = torch.tensor(codes).unfold(0, length + 1, 7)
    return pieces[:, :-1].contiguous(), pieces[:, 1:].contiguous()
