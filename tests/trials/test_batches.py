"""Trials on the longest samples, or on a batch of the user's own."""

from pathlib import Path
from typing import ClassVar

import lightning.pytorch as pl
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lit_autotune import ConfigError, TargetError
from support import tuning
from support.models import AS_FOUND, Blobs, Net


class Texts(Dataset):
    """Sequences of very different lengths; counts how often it is read."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.lengths = torch.randint(3, 200, (300,), generator=generator).tolist()
        self.read = []

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, i):
        self.read.append(i)
        return torch.randn(self.lengths[i], 8), i % 3


def collate(samples):
    return pad_sequence([text for text, _ in samples], batch_first=True), torch.tensor([label for _, label in samples])


class TextData(pl.LightningDataModule):
    def __init__(self):
        super().__init__()
        self.batch_size = 4
        self.texts = Texts()

    def train_dataloader(self):
        return DataLoader(self.texts, self.batch_size, shuffle=True, collate_fn=collate)

    def val_dataloader(self):
        return DataLoader(self.texts, self.batch_size, collate_fn=collate)


class Reader(Net):
    """Notes the shape of each batch."""

    shapes: ClassVar = []

    def training_step(self, batch, batch_idx):
        Reader.shapes.append(("train", *batch[0].shape[:2]))
        return torch.nn.functional.cross_entropy(self.network(batch[0].mean(1)), batch[1])

    def validation_step(self, batch, batch_idx):
        Reader.shapes.append(("val", *batch[0].shape[:2]))


@pytest.fixture(autouse=True)
def _forget():
    Reader.shapes = []


def tuned(datamodule, module=None, **fields):
    fields = {**AS_FOUND, "use_batch_size_tuning": True, "batch_size_max": 16, **fields}
    return tuning.tuned(module or Reader(), datamodule, **fields).batch_size


def test_longest_samples():
    """Training and validation begin with the longest samples there are; the data are looked through once."""
    data = TextData()
    longest = max(data.texts.lengths)
    result = tuned(data, batch_size_probe="longest")
    assert result.chosen == 16
    firsts = {(kind, size) for kind, size, length in Reader.shapes if length == longest}
    assert firsts >= {(kind, size) for kind in ("train", "val") for size in (4, 8, 16)}
    assert {length for _, size, length in Reader.shapes if size >= 8} >= {longest}
    Reader.shapes.clear()
    tuned(TextData())
    assert all(length < longest for kind, size, length in Reader.shapes if kind == "train" and size == 2)


def test_a_batch_of_the_users_own():
    """The function is called with each trial's size; only training uses it."""
    Path("worst.py").write_text(
        "import torch\n\ndef batch(size):\n    return torch.randn(size, 500, 8), torch.zeros(size, dtype=torch.long)\n"
    )
    tuned(TextData(), batch_size_probe="worst.py:batch")
    assert {(size, length) for kind, size, length in Reader.shapes if kind == "train"} == {
        (size, 500) for size in (2, 4, 8, 16)
    }
    assert all(length < 500 for kind, _, length in Reader.shapes if kind == "val")


def test_mistakes_are_found_before_anything_runs():
    """A function that does not exist, or something else than a function."""
    Path("worst2.py").write_text("batch = 3\n")
    with pytest.raises(TargetError, match="nowhere"):
        tuned(TextData(), batch_size_probe="nowhere:batch")
    with pytest.raises(ConfigError, match="no function which takes a batch size"):
        tuned(TextData(), batch_size_probe="worst2.py:batch")
    assert Reader.shapes == []


class Stream(IterableDataset):
    def __iter__(self):
        yield from ((torch.randn(8), 0) for _ in range(100))


class StreamData(Blobs):
    def train_dataloader(self):
        return DataLoader(Stream(), self.batch_size)


def test_a_stream_has_no_longest_samples():
    """One sentence says what to do instead."""
    with pytest.raises(ConfigError, match="'longest': the data set has no length"):
        tuned(StreamData(), Net(), batch_size_probe="longest")
