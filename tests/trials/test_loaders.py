"""A loader with another batch size is the same loader otherwise."""

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler, TensorDataset

from lit_autotune import ConfigError
from lit_autotune.trials.loaders import rebuild

DATA = TensorDataset(torch.arange(10))


class Prefetching(DataLoader):
    """A subclass whose constructor takes other arguments than its base, and that does something to batches."""

    def __init__(self, device, samples):
        self.device = device
        super().__init__(samples, batch_size=2, shuffle=True, drop_last=True)

    def __iter__(self):
        return (batch[0].to(self.device) for batch in super().__iter__())


class Endless(IterableDataset):
    def __iter__(self):
        return iter(range(7))


def test_a_subclass_stays_what_it_is():
    """Its own attributes and methods are there, and the original is as before."""
    loader = Prefetching("meta", DATA)
    rebuilt = rebuild(loader, 4)
    assert type(rebuilt) is Prefetching
    assert [batch.shape for batch in rebuilt] == [(4,), (4,)]
    assert all(batch.device.type == "meta" for batch in rebuilt)
    assert isinstance(rebuilt.sampler, RandomSampler)
    assert (loader.batch_size, len(loader)) == (2, 5)
    assert (rebuilt.batch_size, len(rebuilt)) == (4, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_it_has_workers_of_its_own(workers):
    """Also where those of the original stay alive."""
    loader = DataLoader(DATA, batch_size=5, num_workers=workers, persistent_workers=bool(workers))
    assert len(list(loader)) == 2
    rebuilt = rebuild(loader, 10)
    assert len(list(rebuilt)) == 1
    assert len(list(loader)) == 2
    assert workers == 0 or rebuilt._iterator is not loader._iterator


def test_samplers():
    """The loader's own, also within a batch sampler; or another one."""
    loader = DataLoader(DATA, batch_sampler=BatchSampler(SequentialSampler(DATA), 3, drop_last=True))
    assert [len(batch[0]) for batch in rebuild(loader, 4)] == [4, 4]
    assert [batch[0].tolist() for batch in rebuild(loader, 1, sampler=[7, 3])] == [[7], [3]]
    assert [batch[0].tolist() for batch in rebuild(DataLoader(DATA), 2, sampler=[7, 3])] == [[7, 3]]


def test_iterable_data():
    """They have no sampler, and are cut into batches all the same."""
    assert [len(batch) for batch in rebuild(DataLoader(Endless(), batch_size=2), 3)] == [3, 3, 1]


def test_collections():
    """Lists and dictionaries of loaders, at any depth."""
    rebuilt = rebuild({"a": [DataLoader(DATA)], "b": (DataLoader(DATA),)}, 5)
    assert (len(rebuilt["a"][0]), len(rebuilt["b"][0])) == (2, 2)


class Bucketed(BatchSampler):
    """A batch sampler of the user's."""


@pytest.mark.parametrize(
    ("loader", "text"),
    [
        ([1, 2], "batch size of a int"),
        (DataLoader(DATA, batch_sampler=Bucketed(SequentialSampler(DATA), 2, False)), "batch size of a Bucketed"),
        (DataLoader(DATA, batch_size=None), "whose data set makes the batches"),
    ],
)
def test_what_cannot_be_rebuilt(loader, text):
    """It is named, and what to do instead."""
    with pytest.raises(ConfigError, match=text):
        rebuild(loader, 4)
