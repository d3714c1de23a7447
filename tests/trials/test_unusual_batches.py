"""What counts as a batch, and as the largest one, with loaders and Trainers that say so in other ways than most."""

import itertools

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from lit_autotune import ConfigError, TunerConfig
from lit_autotune.copies.attributes import find_batch_size
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.trials.search_plan import plan_search
from support import tuning
from support.models import AS_FOUND, Blobs, Net, blobs, quiet_trainer


def tuned(module, data, trainer=None, **fields):
    report = tuning.tuned(module, data, trainer, use_batch_size_tuning=True, save_plot=False, **{**AS_FOUND, **fields})
    return report.batch_size


class Bulk(Dataset):
    """Gets all indices of a batch at a time."""

    def __init__(self):
        self.inputs, self.labels = blobs()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, indices):
        return self.inputs[indices], self.labels[indices]


class Loaded(Blobs):
    """A datamodule with any loader."""

    def __init__(self, make, batch_size=4, validation=None):
        super().__init__(batch_size)
        self.make, self.validation = make, validation

    def train_dataloader(self):
        return self.make(self.data, self.batch_size)

    def val_dataloader(self):
        return self.validation(self.data, self.batch_size) if self.validation else []


def of_batches(data, size):
    bulk = Bulk()
    return DataLoader(bulk, batch_size=None, sampler=BatchSampler(RandomSampler(bulk), size, drop_last=False))


def of_one_batch(data, size):
    return DataLoader(data, sampler=BatchSampler(RandomSampler(data), size, drop_last=False), collate_fn=_joined)


def _joined(samples):
    return samples[0]


class Grouped(BatchSampler):
    """Batches of samples of one group each."""

    def __iter__(self):
        for start in range(0, len(self.sampler), 40):
            group = list(range(start, min(start + 40, len(self.sampler))))
            yield from (group[i : i + self.batch_size] for i in range(0, len(group), self.batch_size))


class Tiles:
    """Batches of tiles, of which each of a few images has many."""

    def __init__(self, images, tiles, batch_size):
        self.images, self.tiles, self.batch_size = images, tiles, batch_size

    def __len__(self):
        return -(-self.images * self.tiles // self.batch_size)

    def __iter__(self):
        tiles = [image for image in range(self.images) for _ in range(self.tiles)]
        return (tiles[i : i + self.batch_size] for i in range(0, len(tiles), self.batch_size))


def grouped(data, size):
    return DataLoader(data, batch_sampler=Grouped(RandomSampler(data), size, drop_last=False))


def tiled(data, size):
    few = TensorDataset(*(part[:4] for part in data.tensors))
    return DataLoader(few, batch_sampler=Tiles(4, 30, size))


@pytest.mark.parametrize(
    ("make", "most"), [(of_batches, 256), (of_one_batch, 256), (grouped, 40), (tiled, 120)], ids=lambda it: str(it)[:20]
)
@pytest.mark.parametrize("init_val", [2, 64])
def test_samplers_that_yield_batches(make, most, init_val):
    """How many samples the data hold is what the innermost sampler, or the batches themselves, say."""
    if make is of_one_batch:
        make = lambda data, size: of_one_batch(Bulk(), size)  # noqa: E731
    result = tuned(Net(), Loaded(make), batch_size_init_val=init_val, batch_size_mode="binsearch")
    assert (result.largest, result.limit) == (most, "data")


class Stream(IterableDataset):
    """Samples of ten rows each, or of any number."""

    def __init__(self, rows=lambda index: 10, samples=None):
        self.rows, self.samples = rows, samples

    def __iter__(self):
        generator = torch.Generator().manual_seed(0)
        for index in itertools.count() if self.samples is None else range(self.samples):
            count = self.rows(index)
            yield torch.randn(count, 8, generator=generator), torch.randint(3, (count,), generator=generator)


class Record:
    """A batch that is an object of the user's."""

    def __init__(self, samples):
        self.inputs, self.labels = torch.cat([x for x, _ in samples]), torch.cat([y for _, y in samples])


class Flexible(Net):
    """Takes batches of any form."""

    def training_step(self, batch, batch_idx):
        if isinstance(batch, Record):
            batch = batch.inputs, batch.labels
        inputs, labels = (torch.cat(list(part)) if isinstance(part, tuple) else part for part in batch)
        return F.cross_entropy(self.network(inputs.flatten(0, -2)), labels.flatten())


def _sequence_first(samples):
    return torch.stack([x for x, _ in samples], 1), torch.stack([y for _, y in samples], 1)


def _lists(samples):
    return tuple(zip(*samples, strict=True))


def _packed(samples):
    return torch.cat([x for x, _ in samples]), torch.cat([y for _, y in samples])


def _varying(index):
    return 1 + (7 * index) % 13


@pytest.mark.parametrize(
    ("rows", "collate"),
    [(lambda i: 10, _sequence_first), (lambda i: 10, Record), (lambda i: 10, _lists), (_varying, _packed)],
)
def test_streams_of_any_form_of_batch(rows, collate):
    """A batch need not begin with as many samples as it has, nor have as many rows for each of them."""
    make = lambda data, size: DataLoader(Stream(rows), batch_size=size, collate_fn=collate)  # noqa: E731
    assert tuned(Flexible(), Loaded(make), batch_size_max=64).largest == 64


@pytest.mark.parametrize(("rows", "collate", "most"), [(lambda i: 10, _sequence_first, 32), (_varying, _packed, 64)])
def test_streams_that_end(rows, collate, most):
    """A stream's only batch is not a full one if it is smaller than those before would have it; of rows that vary the
    last doubling cannot be told.
    """
    make = lambda data, size: DataLoader(Stream(rows, 50), batch_size=size, collate_fn=collate)  # noqa: E731
    result = tuned(Flexible(), Loaded(make), batch_size_max=512)
    assert (result.largest, result.limit) == (most, "data")


def test_a_setting_that_nothing_reads():
    """Batches of any form that stay the same are noticed."""
    make = lambda data, size: DataLoader(Stream(), batch_size=4, collate_fn=Record)  # noqa: E731
    with pytest.raises(ConfigError, match="does not change the training batches"):
        tuned(Flexible(), Loaded(make))


class Validated(Net):
    def validation_step(self, batch, batch_idx):
        self.training_step(batch, batch_idx)


def plain(data, size):
    return DataLoader(data, batch_size=size)


def fixed(data, size):
    return DataLoader(data, batch_size=16)


def dropping(data, size):
    return DataLoader(TensorDataset(*(part[:100] for part in data.tensors)), batch_size=size, drop_last=True)


@pytest.mark.parametrize(
    ("validation", "limits", "most"),
    [
        (plain, {"val_check_interval": 10}, 25),
        (None, {"val_check_interval": 10}, 25),
        (plain, {"val_check_interval": 10, "check_val_every_n_epoch": None}, 256),
        (plain, {"val_check_interval": 10, "limit_train_batches": 0.5}, 12),
        (plain, {"limit_val_batches": 0.1}, 25),
        (fixed, {"limit_val_batches": 0.1}, 256),
        (dropping, {}, 100),
    ],
)
def test_limits_of_the_trainer_bound_the_size(validation, limits, most):
    """With the largest size, whatever strategy finds it, the user's own fit does not refuse its limits."""
    trainer, data, module = quiet_trainer(max_epochs=1, **limits), Loaded(plain, validation=validation), Validated()
    plan = plan_search(Sandbox(trainer, module, data), find_batch_size({"datamodule": data}, None), TunerConfig())
    assert plan.max_val == most
    data.batch_size = most
    trainer.fit(module, data)


def test_an_interval_longer_than_any_epoch():
    """Where no batch size can make an epoch long enough, that is said before anything is searched."""
    with pytest.raises(ConfigError, match="val_check_interval = 1000"):
        tuned(Net(), Blobs(), quiet_trainer(val_check_interval=1000))


class Normalized(Net):
    def __init__(self):
        super().__init__()
        self.network.insert(1, torch.nn.BatchNorm1d(16))


class Hardest(Net):
    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.network(batch[0]), batch[1], reduction="none").topk(5).values.mean()


@pytest.mark.parametrize("mode", ["power", "binsearch", "predictive"])
def test_one_sample_left_for_batch_norm(mode):
    """A size that leaves a last batch of one sample is not chosen; the user's own fit works with what is."""
    data, module = Blobs(20, samples=65), Normalized()
    result = tuned(module, data, batch_size_mode=mode)
    assert result.largest > 20
    assert 65 % result.chosen != 1
    quiet_trainer(max_epochs=1).fit(module, data)


@pytest.mark.parametrize(("module", "init_val", "samples"), [(Normalized, 1, 256), (Hardest, 2, 261)])
def test_first_sizes_that_are_too_small(module, init_val, samples):
    """The search goes on from a larger size; what cannot be used is in the report, with the reason."""
    with pytest.warns(UserWarning, match=rf"cannot be used.*\b{init_val}\b"):
        result = tuned(module(), Blobs(samples=samples), batch_size_init_val=init_val)
    assert result.largest >= samples / 2
    assert result.trials[0].outcome == "cannot_be_used"
    assert result.trials[0].message


def test_a_maximum_of_the_users_own():
    """Sizes beyond what the user's code allows are a limit, and called one."""

    class Bank(Net):
        def training_step(self, batch, batch_idx):
            assert len(batch[1]) <= 100
            return super().training_step(batch, batch_idx)

    with pytest.warns(UserWarning, match="cannot be used"):
        result = tuned(Bank(), Blobs(samples=1000), batch_size_mode="binsearch")
    assert (result.chosen, result.limit) == (100, "error")


class Bank(Validated):
    """Needs some samples of the whole validation."""

    bank: list

    def on_validation_epoch_start(self):
        self.bank = []

    def validation_step(self, batch, batch_idx):
        self.bank.append(batch[1])

    def on_validation_epoch_end(self):
        torch.cat(self.bank).topk(20)


@pytest.mark.parametrize("init_val", [2, 16, 32])
def test_validation_that_needs_more_than_a_batch(init_val):
    """Where a single validation batch, which is all that a trial runs, is too few, trials run all of them."""
    with pytest.warns(UserWarning, match="validation fails with a single batch"):
        assert tuned(Bank(), Loaded(plain, 16, plain), batch_size_init_val=min(init_val, 16)).largest == 256
    assert tuned(Bank(), Loaded(plain, 32, plain), batch_size_init_val=32).largest == 256


def test_samplers_that_refuse_sizes():
    """A size that no batch can be made with is no end: the search begins with the present one."""

    def make(data, size):
        if size % 12:
            raise ValueError(f"{size} is no multiple of 12")
        return plain(data, size)

    with pytest.warns(UserWarning, match="with batch size 2 no batch can be made"):
        result = tuned(Net(), Loaded(make, 12))
    assert result.largest == 192


def test_the_users_own_error_is_told_from_one_of_a_size():
    """An error that the present size has, too, comes out as it is and says with which sizes it came."""

    class Broken(Net):
        def training_step(self, batch, batch_idx):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        tuned(Broken(), Blobs())
    assert "with batch size 2, 16 (the present one)" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="no") as refused:
        tuned(Net(), Loaded(lambda data, size: (_ for _ in ()).throw(ValueError("no"))))
    assert "with batch size 2, 4" in refused.value.__notes__[0]
