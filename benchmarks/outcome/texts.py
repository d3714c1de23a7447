"""Text that every Python brings along: the help topics, and the standard library's source."""

import importlib
import inspect
import re
from functools import cache
from pydoc_data.topics import topics
from zlib import crc32

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from .data import Split, divide

CONTEXT = 32
CHARACTERS = 97
"""Printable ASCII, the line break, and one for all others."""


@cache
def help_pages() -> Split:
    """Windows of characters from the help topics, and the same windows one character on."""
    text = "\n".join(topics[name] for name in sorted(topics))[:120_000]
    codes = torch.tensor([_character(letter) for letter in text])
    windows = codes.unfold(0, CONTEXT + 1, CONTEXT)
    train, held = windows[:-400], windows[-400:]
    return tuple(TensorDataset(part[:, :-1], part[:, 1:]) for part in (train, held))


def _character(letter: str) -> int:
    if letter == "\n":
        return 95
    return ord(letter) - 32 if " " <= letter <= "~" else 96


MODULES = ("_pydecimal", "argparse", "difflib", "inspect", "ipaddress", "tarfile", "typing", "unittest.mock")
WORDS = 12
VOCABULARY = 4096


@cache
def snippets() -> Split:
    """Twelve words in a row, and the module from whose source they are."""
    parts = [_snippets_of(name)[:400] for name in MODULES]
    labels = torch.cat([torch.full((len(part),), index) for index, part in enumerate(parts)])
    return divide([torch.cat(parts), labels], validation=800)


def _snippets_of(module: str) -> Tensor:
    words = re.findall(r"[A-Za-z]+", inspect.getsource(importlib.import_module(module)).lower())
    # Not `hash`: that one differs from process to process.
    codes = torch.tensor([crc32(word.encode()) % VOCABULARY for word in words])
    return codes.unfold(0, WORDS, WORDS)
