"""Data: the user's stay as they are, copies share what is copied once."""

import gc
import pickle
import shutil
import threading
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lit_autotune import ConfigError
from lit_autotune.copies.copier import Copier
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.shared_data import SharedData, data_bytes, fingerprint
from lit_autotune.copies.sharing import LONG
from support.models import Net, blobs, quiet_trainer
from support.tuning import tuned


class Given(pl.LightningDataModule):
    """Was given its data, and changes them in setup."""

    def __init__(self, data, change):
        super().__init__()
        self.batch_size, self.data, self.change = 16, data, change

    def setup(self, stage):
        self.change(self.data)
        self.dataset = TensorDataset(*blobs(64))

    def train_dataloader(self):
        return DataLoader(self.dataset, batch_size=self.batch_size)


def scale(array):
    array /= 255


@pytest.mark.parametrize(
    ("data", "change"),
    [
        (torch.full((4,), 255.0), scale),
        (np.full(4, 255.0), scale),
        (list(range(LONG + 1)), lambda files: files.extend(files[:10])),
        ([{"label": i} for i in range(LONG + 1)], lambda rows: [row.update(label=0) for row in rows]),
        ({i: i for i in range(LONG + 1)}, lambda table: table.clear()),
        (bytearray(b"abc"), lambda buffer: buffer.extend(b"d")),
    ],
    ids=["tensor", "array", "list", "list of records", "dictionary", "buffer"],
)
def test_setup_that_changes_what_it_was_given(data, change):
    """setup changes the copies' data once, the user's never."""
    datamodule = Given(data, change)
    before = fingerprint(data), str(data)[:1000], str(data)[-100:]
    seen = []
    sandbox = Sandbox(quiet_trainer(), Net(), datamodule)
    for _ in range(3):
        copies = sandbox.copies()
        sandbox.run(copies)
        seen.append(str(copies.datamodule.data)[:1000])
    assert (fingerprint(data), str(data)[:1000], str(data)[-100:]) == before
    assert len(set(seen)) == 1
    assert not hasattr(datamodule, "dataset")


def test_data_are_copied_once():
    """All copies have the same data, but not the user's."""
    datamodule = Given(torch.zeros(8), len)
    sandbox = Sandbox(quiet_trainer(), Net(), datamodule)
    made = [sandbox.copies().datamodule for _ in range(3)]
    assert made[0].data is made[1].data is made[2].data
    assert made[0].data is not datamodule.data


def test_read_only_and_large_data_are_shared(monkeypatch):
    """What nobody can write to, and what is too large to be copied, is the user's own."""
    fixed = np.zeros(8)
    fixed.flags.writeable = False
    assert SharedData().stand_in("a", fixed) is fixed
    monkeypatch.setattr("lit_autotune.copies.shared_data.MOST_SHARE", 0.0)
    tensor = torch.zeros(8)
    assert SharedData().stand_in("a", tensor) is tensor


@pytest.mark.parametrize("data", [torch.full((4,), 255.0), np.full(4, 255.0)], ids=["tensor", "array"])
def test_large_data_that_setup_changes(monkeypatch, data):
    """Data too large to be copied that setup changes in place are named."""
    monkeypatch.setattr("lit_autotune.copies.shared_data.MOST_SHARE", 0.0)
    with pytest.raises(ConfigError, match=r"^datamodule\.data is changed in place"):
        tuned(Net(), Given(data, scale), use_batch_size_tuning=True)


def test_data_set_that_changes_its_samples():
    """Samples changed in place in __getitem__ are those of the run: the next one begins with the user's again."""

    class Shrinking(Dataset):
        def __init__(self):
            self.inputs, self.labels = blobs(64)

        def __len__(self):
            return 64

        def __getitem__(self, i):
            return self.inputs[i].mul_(0.5), self.labels[i]

    class Data(pl.LightningDataModule):
        def __init__(self):
            super().__init__()
            self.batch_size, self.dataset = 16, Shrinking()

        def train_dataloader(self):
            return DataLoader(self.dataset, batch_size=self.batch_size)

    datamodule = Data()
    before = datamodule.dataset.inputs.clone()
    sandbox = Sandbox(quiet_trainer(), Net(), datamodule)
    sums = []
    for _ in range(4):
        copies = sandbox.copies()
        sums.append(float(copies.datamodule.dataset.inputs.abs().sum()))
        sandbox.run(copies)
    assert torch.equal(datamodule.dataset.inputs, before)
    assert sums[0] == sums[2] == sums[3]


class Counting(Dataset):
    """Has a shape, a generator and a counter of its own."""

    def __init__(self):
        self.generator, self.count = torch.Generator().manual_seed(1), 0
        self.inputs, self.labels = blobs(64)

    @property
    def shape(self):
        return (8,)

    @property
    def dtype(self):
        return torch.float32

    def __len__(self):
        return 64

    def __getitem__(self, i):
        self.count += 1
        return self.inputs[i] + torch.rand(8, generator=self.generator), self.labels[i]


class Cleaning(pl.LightningDataModule):
    """Deletes its folder at its end; looks like data, and can be closed."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.batch_size, self.dataset = folder, 16, Counting()

    shape = (8,)

    def __del__(self):
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def close(self):
        raise AssertionError("closed")

    def train_dataloader(self):
        return DataLoader(self.dataset, batch_size=self.batch_size)


def test_datamodule_that_looks_like_data_and_cleans_up():
    """It is copied like any other, and copies do not clean up what is the original's."""
    folder = Path("data")
    folder.mkdir()
    datamodule = Cleaning(folder)
    state = datamodule.dataset.generator.get_state()
    tuned(Net(), datamodule, use_batch_size_tuning=True, batch_size_max=32)
    assert folder.exists()
    assert datamodule.dataset.count == 0
    assert torch.equal(datamodule.dataset.generator.get_state(), state)
    del datamodule
    assert not folder.exists()


def test_copies_that_fail_do_not_clean_up():
    """What is left of a copy that could not be made does not clean up either; copies can be pickled and copied."""
    folder = Path("data")
    folder.mkdir()
    datamodule = Cleaning(folder)
    datamodule.lock = threading.Lock()
    _, copies = Copier(quiet_trainer(), Path("scratch")).copy({"module": Net(), "datamodule": datamodule})
    copied = copies.pop("datamodule")
    assert copied.lock is datamodule.lock
    del copied.lock
    copied.trainer = None
    again = pickle.loads(pickle.dumps(copied))
    assert type(again) is Cleaning
    del copied
    gc.collect()
    assert folder.exists()
    again.folder = datamodule.folder = folder / "a"
    again.folder.mkdir()
    del again


def test_size_of_data():
    """Sizes are in bytes; those of long containers are estimated from some items."""
    assert data_bytes(torch.zeros(10)) == 40
    assert data_bytes(np.zeros((2, 3))) == 48
    assert data_bytes([torch.zeros(1000)] * 1000) == pytest.approx(4_000_000, rel=0.01)
    assert data_bytes({i: torch.zeros(1000) for i in range(1000)}) == pytest.approx(4_000_000, rel=0.1)
