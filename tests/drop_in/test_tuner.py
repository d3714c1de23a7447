"""The drop-in Tuner: Lightning's interface, with what its parameters say."""

import inspect
import itertools
import math
import os

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.tuner import Tuner as LightningTuner
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from lit_autotune import ConfigError, LRSuggestionError, Tuner
from support.models import Blobs, Net, RandomBlobs, RandomNet, blobs, quiet_trainer

QUICK = {"min_lr": 1e-5, "num_training": 40}


@pytest.mark.parametrize("name", ["scale_batch_size", "lr_find"])
def test_same_parameters_and_defaults_as_lightning(name):
    """Each method has Lightning's parameters, in the same order, with the same defaults."""
    ours = inspect.signature(getattr(Tuner, name)).parameters
    theirs = inspect.signature(getattr(LightningTuner, name)).parameters
    assert list(ours) == list(theirs)
    assert [parameter.default for parameter in ours.values()] == [parameter.default for parameter in theirs.values()]


class Limited(Net):
    """Fits up to 100 samples in each kind of step; notes all sizes it was given."""

    seen: list

    def note(self, hook, batch):
        self.seen.append((hook, len(batch[1])))
        if len(batch[1]) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    def training_step(self, batch, batch_idx):
        self.note("train", batch)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.note("val", batch)

    def test_step(self, batch, batch_idx):
        self.note("test", batch)

    def predict_step(self, batch, batch_idx):
        self.note("predict", batch)
        return batch[0]


@pytest.fixture(autouse=True)
def _forget():
    Limited.seen = []


class Everything(Blobs):
    """Loaders for all stages; a size of its own for evaluation."""

    def __init__(self, batch_size=16, eval_batch_size=16):
        super().__init__(batch_size, samples=1000)
        self.eval_batch_size = eval_batch_size

    def evaluation(self):
        return DataLoader(self.data, batch_size=self.eval_batch_size)

    val_dataloader = test_dataloader = predict_dataloader = evaluation


@pytest.mark.parametrize(("mode", "margin", "expected"), [("power", 0.05, 64), ("binsearch", 0.0, 100)])
@pytest.mark.parametrize("method", ["fit", "validate", "test", "predict"])
def test_batch_size_of_each_method(method, mode, margin, expected):
    """Each method is sized by what it runs; evaluation may have a batch size of its own; nothing else is written."""
    data, module = Everything(), Limited()
    name = "batch_size" if method == "fit" else "eval_batch_size"
    tuner = Tuner(quiet_trainer())
    size = tuner.scale_batch_size(
        module, datamodule=data, method=method, mode=mode, margin=margin, batch_arg_name=f"datamodule.{name}"
    )
    assert size == getattr(data, name) == expected
    assert getattr(data, "batch_size" if name != "batch_size" else "eval_batch_size") == 16
    hooks = {hook for hook, _ in Limited.seen}
    assert hooks == ({"train", "val"} if method == "fit" else {{"validate": "val"}.get(method, method)})
    assert module.training
    if method != "fit":
        assert Limited.seen.count((hooks.pop(), 2)) == 3


def test_first_trial_has_the_size_asked_for():
    """The first trial runs at init_val, not at the size the user had before."""
    Tuner(quiet_trainer()).scale_batch_size(Limited(), datamodule=Blobs(batch_size=16), init_val=4, max_trials=1)
    assert {size for _, size in Limited.seen} == {4}


@pytest.mark.parametrize("limit", [63, 64, 50])
def test_largest_size_is_never_returned_untried(limit):
    """max_val bounds the search, whether it is a power of two or not, and is run before it is returned."""
    size = Tuner(quiet_trainer()).scale_batch_size(
        Limited(), datamodule=Blobs(samples=500), mode="binsearch", max_val=limit
    )
    assert size == limit
    assert ("train", limit) in Limited.seen
    assert max(seen for _, seen in Limited.seen) == limit


@pytest.mark.parametrize(
    "kind", ["plain", "shuffled", "own sampler", "own batch sampler", "dictionary", "list", "drop_last", "workers"]
)
def test_loaders_passed_by_hand(kind):
    """Loaders are rebuilt with other sizes; their data, sampler and collate function are kept."""
    data = TensorDataset(*blobs(500))
    loader = {
        "plain": lambda: DataLoader(data, batch_size=16),
        "shuffled": lambda: DataLoader(data, batch_size=16, shuffle=True),
        "own sampler": lambda: DataLoader(data, batch_size=16, sampler=SequentialSampler(data)),
        "own batch sampler": lambda: DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 16, True)),
        "dictionary": lambda: {"a": DataLoader(data, batch_size=16), "b": DataLoader(data, batch_size=16)},
        "list": lambda: [DataLoader(data, batch_size=16)],
        "drop_last": lambda: DataLoader(data, batch_size=16, drop_last=True),
        "workers": lambda: DataLoader(data, batch_size=16, num_workers=1, persistent_workers=True),
    }[kind]()

    class Any(Limited):
        def training_step(self, batch, batch_idx):
            return super().training_step(
                {"dictionary": lambda: batch["a"], "list": lambda: batch[0]}.get(kind, lambda: batch)(), 0
            )

    module = Any()
    module.batch_size = 16
    size = Tuner(quiet_trainer()).scale_batch_size(module, loader, DataLoader(data, batch_size=16))
    assert size == 64
    assert module.batch_size == 64
    assert Tuner(quiet_trainer()).lr_find(module, loader, **QUICK).suggestion() == module.lr


@pytest.mark.parametrize("method", ["validate", "test", "predict"])
def test_evaluation_loaders_passed_by_hand(method):
    """Loaders for an evaluation are rebuilt, too."""
    loader = DataLoader(TensorDataset(*blobs(500)), batch_size=16)
    tuner = Tuner(quiet_trainer())
    assert tuner.scale_batch_size(Limited(), dataloaders=loader, method=method, mode="binsearch", margin=0) == 100


def test_sampler_of_unknown_kind_is_refused():
    """A batch sampler that we cannot rebuild is refused in one sentence."""

    class Odd(BatchSampler):
        pass

    data = TensorDataset(*blobs())
    loader = DataLoader(data, batch_sampler=Odd(RandomSampler(data), 16, False))
    with pytest.raises(ConfigError, match="cannot change the batch size of a Odd; pass a datamodule"):
        Tuner(quiet_trainer()).scale_batch_size(Net(), loader)


def test_datamodule_in_place_of_loaders():
    """A datamodule may be passed where Lightning takes loaders."""
    data = Blobs()
    assert Tuner(quiet_trainer()).scale_batch_size(Net(), data, max_val=32) == data.batch_size == 32


@pytest.mark.parametrize("mode", ["exponential", "linear"])
def test_lr_find(mode):
    """The curve, the suggestion and the attribute belong together; linear and exponential ranges work."""
    module = Net()
    finder = Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), mode=mode, **QUICK)
    rates, losses = finder.results["lr"], finder.results["loss"]
    assert len(rates) == len(losses)
    steps = [high - low if mode == "linear" else math.log(high / low) for low, high in itertools.pairwise(rates)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert finder.suggestion() == module.lr
    assert finder.suggestion(skip_begin=0, skip_end=0) == module.lr
    assert rates[5] / 10 < finder.suggestion(skip_begin=5, skip_end=2) <= rates[-2]


def test_lr_find_without_update():
    """update_attr=False leaves the module alone."""
    module = Net()
    assert Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), update_attr=False, **QUICK).suggestion() > 0
    assert module.lr == 1e-3


@pytest.mark.parametrize("name", ["eta", "settings.optimizer.eta", "module.settings.optimizer.eta"])
def test_lr_find_with_an_attribute_of_another_name(name):
    """attr_name may be any name, dotted places included."""

    class Named(Net):
        def __init__(self):
            super().__init__()
            del self.lr
            self.eta, self.settings = 1e-3, {"optimizer": {"eta": 1e-3}}

        def configure_optimizers(self):
            rate = self.eta if name == "eta" else self.settings["optimizer"]["eta"]
            return torch.optim.Adam(self.parameters(), lr=rate)

    module = Named()
    value = Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), attr_name=name, **QUICK).suggestion()
    assert (module.eta if name == "eta" else module.settings["optimizer"]["eta"]) == value


def test_threshold_none_never_stops():
    """Without a threshold the test runs to its end, however the loss explodes."""

    class Exploding(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * (1 + 1000 * (self.trainer.global_step > 30))

    short = Tuner(quiet_trainer()).lr_find(Exploding(), datamodule=Blobs(), **QUICK)
    full = Tuner(quiet_trainer()).lr_find(Exploding(), datamodule=Blobs(), early_stop_threshold=None, **QUICK)
    assert len(short.results["lr"]) < 35
    assert len(full.results["lr"]) == 40


def test_no_suggestion_is_an_error_not_none():
    """Where there is no suggestion, an error says why; the module keeps its rate."""

    class Rising(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * 0 + self.trainer.global_step

    module = Rising()
    with pytest.raises(LRSuggestionError, match="the loss never falls"):
        Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), **QUICK)
    assert module.lr == 1e-3


@pytest.mark.parametrize("own_axes", [False, True])
@pytest.mark.parametrize("suggest", [False, True])
def test_plot(own_axes, suggest):
    """The plot has the curve on a logarithmic axis, and the suggestion if asked for; axes may be given."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    finder = Tuner(quiet_trainer()).lr_find(Net(), datamodule=Blobs(), **QUICK)
    axes = Figure().add_subplot() if own_axes else None
    figure = finder.plot(suggest=suggest, ax=axes)
    drawn = axes or figure.axes[0]
    assert drawn.figure is figure
    assert drawn.get_xscale() == "log"
    assert any("suggestion" in text.get_text() for text in drawn.get_legend().get_texts()) == suggest


def test_fast_dev_run_returns_what_there_is():
    """With fast_dev_run nothing is tried: the present batch size is returned, and no curve."""
    trainer = quiet_trainer(fast_dev_run=True)
    assert Tuner(trainer).scale_batch_size(Net(), datamodule=Blobs(batch_size=16)) == 16
    with pytest.warns(UserWarning, match="fast_dev_run"):
        assert Tuner(trainer).lr_find(Net(), datamodule=Blobs()) is None


def test_both_after_each_other_and_again_after_an_error():
    """Calls may follow one another, also right after one that failed; then fit runs its full length."""

    class Sometimes(Net):
        broken = True

        def on_train_start(self):
            if Sometimes.broken:
                raise ValueError("not today")

    trainer, module, data = quiet_trainer(max_epochs=1), Sometimes(), Blobs()
    tuner = Tuner(trainer)
    with pytest.raises(ValueError, match="not today"):
        tuner.scale_batch_size(module, datamodule=data)
    Sometimes.broken = False
    assert tuner.scale_batch_size(module, datamodule=data, max_val=64) == 64
    assert tuner.scale_batch_size(module, datamodule=data, max_val=32) == 32
    assert tuner.lr_find(module, datamodule=data, **QUICK).suggestion() == module.lr
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 8


def test_between_fit_and_resume(tmp_path):
    """After an epoch of training the Tuner works, and training resumes from a checkpoint afterwards."""
    trainer, module, data = quiet_trainer(max_epochs=1), RandomNet(), RandomBlobs()
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    tuner = Tuner(trainer)
    assert tuner.scale_batch_size(module, datamodule=data, max_val=32) == 32
    assert len(tuner.lr_find(module, datamodule=data, **QUICK).results["lr"]) > 20
    assert trainer.current_epoch == 1
    resumed = quiet_trainer(max_epochs=2)
    resumed.fit(module, datamodule=data, ckpt_path=tmp_path / "one.ckpt", weights_only=False)
    assert resumed.current_epoch == 2
    assert resumed.global_step == 13 + 7


def test_in_a_folder_that_cannot_be_written(tmp_path, monkeypatch, recwarn):
    """The Tuner writes nothing, so the folder need not be writable."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    monkeypatch.chdir(folder)
    trainer = pl.Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_progress_bar=False)
    before = os.stat(folder).st_mtime_ns
    tuner = Tuner(trainer)
    tuner.scale_batch_size(Net(), datamodule=Blobs(), max_val=32)
    tuner.lr_find(Net(), datamodule=Blobs(), **QUICK)
    assert os.listdir(folder) == []
    assert os.stat(folder).st_mtime_ns == before


def test_custom_objects_in_hparams():
    """Hyperparameters that a safe checkpoint would refuse do not matter, for there is none."""

    class Custom:
        pass

    class WithCustom(Net):
        def __init__(self, thing, lr=1e-3):
            super().__init__(lr)
            self.save_hyperparameters()

    module = WithCustom(Custom())
    assert Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), **QUICK).suggestion() == module.hparams.lr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "random"}, "batch_size_mode = 'random' is unknown; known are binsearch, power"),
        ({"method": "sanity"}, "batch_size_method"),
        ({"margin": 1.5}, "batch_size_margin"),
        ({"init_val": 0}, "batch_size_init_val"),
        ({"batch_arg_name": "size"}, "'size': no such number"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    """A wrong argument is refused in one sentence before anything runs."""

    class Untouched(Blobs):
        def setup(self, stage):
            raise AssertionError("ran")

    with pytest.raises(Exception, match=message):
        Tuner(quiet_trainer()).scale_batch_size(Net(), datamodule=Untouched(), **arguments)


def test_lr_find_has_only_fit():
    """There is no learning rate in an evaluation."""
    with pytest.raises(ConfigError, match="only 'fit' has a learning rate"):
        Tuner(quiet_trainer()).lr_find(Net(), datamodule=Blobs(), method="validate")
