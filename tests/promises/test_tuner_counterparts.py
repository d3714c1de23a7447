"""What Lightning's own tests ask of its Tuner, where no other test of ours asks for the same."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import ConfigError, Tuner
from lit_autotune.drop_in.lr_finder import LRFinder
from lit_autotune.types import LRCurve
from support.models import Blobs, Net, blobs, quiet_trainer
from support.rigged import Alone, fingerprint, state

QUICK = {"min_lr": 1e-5, "num_training": 40}


class Owning(Alone):
    """A module that brings loaders for everything, and some of them twice."""

    def val_dataloader(self):
        return [DataLoader(samples, batch_size=self.batch_size) for samples in self.samples]

    test_dataloader = predict_dataloader = val_dataloader

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.network(batch[0])

    test_step = predict_step = validation_step


@pytest.mark.parametrize("method", ["fit", "validate", "test", "predict"])
def test_everything_is_as_before(method):
    """After a search for any method, with several loaders too, all but the batch size is as it was."""
    made = quiet_trainer(), Owning(), None
    before = state(*made)
    size = Tuner(made[0]).scale_batch_size(made[1], method=method, max_val=8)
    assert size == made[1].batch_size == 8
    made[1].batch_size = 16
    assert state(*made) == before


class Sized(Net):
    """A module with a batch size, and loaders that read it."""

    def __init__(self, batch_size=None, limit=10**6):
        super().__init__()
        self.limit = limit
        if batch_size is not None:
            self.batch_size = batch_size

    def training_step(self, batch, batch_idx):
        if len(batch[1]) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().training_step(batch, batch_idx)

    def train_dataloader(self):
        return DataLoader(TensorDataset(*blobs(1000)), batch_size=self.batch_size)


@pytest.mark.parametrize(("module", "data"), [(2, None), (2, 2), (None, 2), (16, 16)])
def test_size_in_module_and_datamodule(module, data):
    """Wherever the size is kept, it is found there, and written to all places that hold it."""
    module, data = Sized(module), None if data is None else Blobs(batch_size=data)
    assert Tuner(quiet_trainer()).scale_batch_size(module, datamodule=data, init_val=4, max_trials=2) == 8
    assert {vars(part)["batch_size"] for part in (module, data) if part and "batch_size" in vars(part)} == {8}


def test_size_that_the_datamodule_does_not_read():
    """A size kept by the module alone, while the datamodule's loaders have their own, is an error."""

    class Fixed(Blobs):
        def train_dataloader(self):
            return DataLoader(self.data, batch_size=4)

    data = Fixed()
    del data.batch_size
    with pytest.raises(ConfigError, match=r"changing module\.batch_size does not change the training batches"):
        Tuner(quiet_trainer()).scale_batch_size(Sized(2), datamodule=data)


@pytest.mark.parametrize(("mode", "expected"), [("power", 62), ("binsearch", 100), ("predictive", 100)])
def test_search_that_begins_too_high(mode, expected):
    """A first size far beyond what fits leads down to what does."""
    module = Sized(16, limit=100)
    size = Tuner(quiet_trainer()).scale_batch_size(module, mode=mode, init_val=500, margin=0)
    assert size == module.batch_size
    assert size == expected or (mode == "predictive" and 80 <= size <= 100)


@pytest.mark.parametrize("name", ["train_dataloaders", "val_dataloaders"])
@pytest.mark.parametrize("method", ["validate", "test", "predict"])
def test_loaders_for_training_passed_to_an_evaluation(method, name):
    """Loaders that a method does not run are not ignored: an error names the argument that it takes."""
    loader = DataLoader(TensorDataset(*blobs()), batch_size=16)
    with pytest.raises(ConfigError, match=rf"{name}.*\bdataloaders"):
        Tuner(quiet_trainer()).scale_batch_size(Owning(), method=method, **{name: loader})


def test_loaders_for_an_evaluation_passed_to_training():
    """The other way around it is an error, too, for both methods of the Tuner."""
    loader = DataLoader(TensorDataset(*blobs()), batch_size=16)
    for method in (Tuner(quiet_trainer()).scale_batch_size, Tuner(quiet_trainer()).lr_find):
        with pytest.raises(ConfigError, match=r"\bdataloaders.*train_dataloaders"):
            method(Sized(16), dataloaders=loader)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_lr": 1, "max_lr": 1e-8}, "min_lr .* must be below max_lr"),
        ({"min_lr": 0}, "Tuner: min_lr = 0"),
        ({"num_training": 0}, "Tuner: num_training = 0"),
        ({"mode": "quadratic"}, "Tuner: mode = 'quadratic'"),
        ({"early_stop_threshold": -1}, "Tuner: early_stop_threshold = -1"),
        ({"attr_name": "eta"}, "attr_name = 'eta': no such number"),
    ],
)
def test_wrong_arguments_of_lr_find(arguments, message):
    """A wrong argument is refused in one sentence before anything runs."""

    class Untouched(Blobs):
        def setup(self, stage):
            raise AssertionError("ran")

    with pytest.raises(ConfigError, match=message) as caught:
        Tuner(quiet_trainer()).lr_find(Net(), datamodule=Untouched(), **arguments)
    assert "\n" not in str(caught.value)


def test_no_trials_are_refused():
    """A search without a trial could only return what nobody tried."""
    with pytest.raises(ConfigError, match="Tuner: max_trials = 0"):
        Tuner(quiet_trainer()).scale_batch_size(Sized(2), max_trials=0)


def test_accumulation_without_a_threshold():
    """With accumulated gradients all points are there, of two batches each."""
    calls = []

    class Counting(Net):
        def training_step(self, batch, batch_idx):
            calls.append(len(batch[1]))
            return super().training_step(batch, batch_idx).tanh()

    trainer = quiet_trainer(accumulate_grad_batches=2)
    finder = Tuner(trainer).lr_find(Counting(), datamodule=Blobs(), early_stop_threshold=None, **QUICK)
    assert len(finder.results["lr"]) == len(finder.results["loss"]) == 40
    assert len(calls) == 80


def finder(losses):
    """What lr_find returns for some losses, one for each decade."""
    curve = LRCurve(learning_rates=tuple(10.0**k for k in range(len(losses))), losses=tuple(losses))
    return LRFinder("exponential", 1.0, 1e3, len(losses), measured=curve, suggester="steepest", value=1.0)


def test_points_left_out_count():
    """Where the steepest part is left out, another one is suggested, from the points that remain."""
    losses = [10, 10, 10, 10, 5, 4.9, 4.9, 4.9, 4.8, 4.8, 4.8, 4, 3.9, 3.9, 3.9, 9]
    found = finder(losses)
    early, late = found.suggestion(skip_begin=0, skip_end=1), found.suggestion(skip_begin=7, skip_end=1)
    assert early < 10**6 < late


@pytest.mark.parametrize("losses", [[], [1.0] * 3, [float("nan")] * 30, [1.0, float("inf")] * 3], ids=len)
@pytest.mark.parametrize("skip", [(0, 0), (1, 1), (5, 5)])
def test_too_few_finite_points(losses, skip):
    """Where too few finite points are left there is a warning that says so, and no number."""
    with pytest.warns(UserWarning, match=r"only \d of \d+ steps had a finite loss; lower min_lr"):
        assert finder(losses).suggestion(skip_begin=skip[0], skip_end=skip[1]) is None


class Coder(nn.Module):
    """A network that is an argument of the module."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def forward(self, inputs):
        return self.net(inputs)


def test_networks_among_the_hyperparameters():
    """Networks and losses kept in hparams, as well as in use, are neither trained nor replaced by the tuning."""

    class Given(Net):
        def __init__(self, coder, loss, lr=1e-3):
            super().__init__(lr)
            self.save_hyperparameters()
            self.network, self.loss = coder, loss

        def training_step(self, batch, batch_idx):
            return self.loss(self.network(batch[0]), batch[1])

    coder = Coder()
    module, weights = Given(coder, nn.CrossEntropyLoss()), fingerprint(coder)
    loader = DataLoader(TensorDataset(*blobs()), batch_size=16)
    found = Tuner(quiet_trainer()).lr_find(module, train_dataloaders=loader, **QUICK).suggestion()
    assert module.lr == module.hparams.lr == found
    assert module.network is module.hparams.coder is coder
    assert fingerprint(coder) == weights
