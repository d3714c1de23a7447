"""Loaders passed to the Tuner: as they are for a learning rate, with other sizes for a batch size."""

import copy

import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, RandomSampler, Sampler, TensorDataset

from lit_autotune import ConfigError, Tuner
from support.models import Blobs, Net, blobs, quiet_trainer

QUICK = {"min_lr": 1e-5, "num_training": 12, "early_stop_threshold": None}
DATA = TensorDataset(*blobs(256))


class Buckets(Sampler):
    """Batches of its own making."""

    def __iter__(self):
        return iter([list(range(start, start + 16)) for start in range(0, 256, 16)])

    def __len__(self):
        return 16


class Flipped(DataLoader):
    """A loader that does more than a loader does."""

    def __iter__(self):
        return ((-inputs, labels) for inputs, labels in super().__iter__())


class Foreign:
    """A loader of another library."""

    def __iter__(self):
        return iter(DataLoader(DATA, 16))

    def __len__(self):
        return 16


class Endless(DataLoader):
    """A loader that keeps its iterator, which cannot be copied."""

    def __init__(self, *arguments, **fields):
        super().__init__(*arguments, **fields)
        self.batches = super().__iter__()

    def __iter__(self):
        for _ in range(len(self)):
            batch = next(self.batches, None)
            if batch is None:
                self.batches = super().__iter__()
                batch = next(self.batches)
            yield batch


class Seen(Net):
    """Notes what its steps get."""

    seen: list

    def training_step(self, batch, batch_idx):
        parts = list(batch.values()) if isinstance(batch, dict) else [batch]
        self.seen.append([inputs.clone() for inputs, _ in parts])
        return super().training_step(parts[0], batch_idx)


@pytest.fixture(autouse=True)
def _forget():
    Seen.seen = []


LOADERS = {
    "batch sampler": lambda: DataLoader(DATA, batch_sampler=Buckets()),
    "no batching": lambda: DataLoader([DATA[start : start + 16] for start in range(0, 256, 16)], batch_size=None),
    "subclass": lambda: Flipped(DATA, 16),
    "foreign": Foreign,
    "combined": lambda: CombinedLoader({"a": DataLoader(DATA, 16), "b": DataLoader(DATA, 64)}, "max_size_cycle"),
    "dictionary": lambda: {"a": DataLoader(DATA, 16), "b": DataLoader(DATA, 64)},
}


@pytest.mark.parametrize("kind", LOADERS)
def test_lr_find_uses_loaders_as_they_are(kind):
    """A range test gets the very batches that a fit gets, whatever makes them."""
    trainer = quiet_trainer(max_steps=12)
    trainer.fit(Seen(), LOADERS[kind]())
    expected, Seen.seen = Seen.seen, []
    finder = Tuner(quiet_trainer()).lr_find(Seen(), LOADERS[kind](), **QUICK)
    assert len(finder.results["lr"]) == 12
    assert all(
        torch.equal(a, b)
        for one, other in zip(expected, Seen.seen, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_lr_find_with_a_loader_that_cannot_be_copied():
    """A loader that keeps a running iterator is gone through itself, and goes on to work."""
    loader = Endless(DATA, 16)
    assert len(Tuner(quiet_trainer()).lr_find(Net(), loader, **QUICK).results["lr"]) == 12
    assert len(list(loader)) == 16


def test_lr_find_leaves_loaders_as_they_were():
    """Neither the order that a loader will give its samples in nor its running workers are touched."""
    shuffled = torch.Generator().manual_seed(1)
    loader = DataLoader(DATA, 16, sampler=RandomSampler(DATA, generator=shuffled))
    working = DataLoader(DATA, 16, num_workers=1, persistent_workers=True)
    batches = iter(working)
    first = next(batches)
    before = shuffled.get_state()
    for given in (loader, working):
        Tuner(quiet_trainer()).lr_find(Net(), given, **QUICK)
    assert torch.equal(shuffled.get_state(), before)
    assert torch.equal(first[0], DATA[:16][0])
    assert torch.equal(next(batches)[0], DATA[16:32][0])


def test_iterator_in_place_of_a_loader_is_refused():
    """What can be gone through once only would be used up by the trials."""
    with pytest.raises(ConfigError, match="train_dataloaders is a running generator"):
        Tuner(quiet_trainer()).lr_find(Net(), (batch for batch in DataLoader(DATA, 16)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("batch sampler", "batch size of a Buckets"),
        ("no batching", "whose data set makes the batches"),
        ("foreign", "batch size of a Foreign"),
        ("combined", "batch size of a CombinedLoader"),
        ("dictionary", r"different batch sizes \(16, 64\)"),
    ],
)
def test_loaders_that_cannot_be_resized(kind, message):
    """A batch size that cannot be changed, or is not one, is refused in one sentence that says what it is."""
    with pytest.raises(ConfigError, match=message):
        Tuner(quiet_trainer()).scale_batch_size(Seen(), LOADERS[kind]())


def test_a_subclass_stays_what_it_is():
    """A loader with other sizes is of the same class, and does what that does."""
    assert Tuner(quiet_trainer()).scale_batch_size(Seen(), Flipped(DATA, 16), max_val=32) == 32
    assert torch.equal(Seen.seen[-1][0][:1] < 0, -DATA[64:65][0] < 0)


def test_a_subclass_with_batches_of_its_own_is_refused_by_name():
    """Where a subclass does not make its batches as a DataLoader does, the error says whose size does not change."""

    class Stubborn(DataLoader):
        def __iter__(self):
            return iter(DataLoader(self.dataset, 16))

        def __len__(self):
            return 16

    with pytest.raises(ConfigError, match="changing the batch size of the Stubborn passed does not"):
        Tuner(quiet_trainer()).scale_batch_size(Net(), Stubborn(DATA, 16))


class Validated(Seen):
    """Notes the sizes that it is validated on, and brings loaders of its own."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def validation_step(self, batch, batch_idx):
        self.sizes_seen.append(len(batch[1]))

    def train_dataloader(self):
        return DataLoader(DATA, 8)

    def val_dataloader(self):
        return DataLoader(DATA, 2)


@pytest.mark.parametrize(("val", "expected"), [(None, {2}), (16, {8, 16}), (64, {64})])
def test_loaders_that_were_not_passed(val, expected):
    """The module goes on to give them; loaders for validation with a size of their own keep it."""
    Validated.sizes_seen = []
    loader = None if val is None else DataLoader(DATA, val)
    Tuner(quiet_trainer()).scale_batch_size(Validated(), DataLoader(DATA, 16), loader, init_val=8, max_trials=2)
    assert set(Validated.sizes_seen) == expected


def test_loaders_for_validation_alone():
    """Training goes on with the module's own loaders."""
    Validated.sizes_seen = []
    module = Validated()
    Tuner(quiet_trainer()).lr_find(module, val_dataloaders=DataLoader(DATA, 64), **QUICK)
    assert {len(inputs) for (inputs,) in Seen.seen} == {8}


@pytest.mark.parametrize("name", ["datamodule", "train_dataloaders"])
def test_datamodule_and_loaders_together(name):
    """What would not be used is refused, as Lightning does."""
    with pytest.raises(ConfigError, match=f"{name} is a datamodule, so that val_dataloaders would not be used"):
        Tuner(quiet_trainer()).lr_find(Net(), val_dataloaders=DataLoader(DATA), **{name: Blobs()})


def test_datamodule_with_a_length():
    """A datamodule is one, whatever its length is."""

    class Counted(Blobs):
        def __len__(self):
            return 0

    data = Counted()
    assert Tuner(quiet_trainer()).scale_batch_size(Net(), datamodule=data, max_val=32) == data.batch_size == 32
    copy.copy(data)
    assert len(Tuner(quiet_trainer()).lr_find(Net(), datamodule=data, **QUICK).results["lr"]) == 12
