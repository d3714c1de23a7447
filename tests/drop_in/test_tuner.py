"""The drop-in Tuner: Lightning's interface, with what its parameters say."""

import inspect
import itertools
import math
import os
import pickle
import re

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.tuner import Tuner as LightningTuner
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from lit_autotune import AutotuneError, ConfigError, LRSuggestionError, Tuner, TunerConfig, tune
from support.models import Blobs, Net, RandomBlobs, RandomNet, blobs, quiet_trainer

QUICK = {"min_lr": 1e-5, "num_training": 40}


@pytest.mark.parametrize("name", ["scale_batch_size", "lr_find"])
def test_same_parameters_and_defaults_as_lightning(name):
    """Each method has Lightning's parameters, in the same order, with the same defaults; newer versions' come last."""
    ours = inspect.signature(getattr(Tuner, name)).parameters
    theirs = inspect.signature(getattr(LightningTuner, name)).parameters
    assert [*theirs, *({"weights_only": None} if name == "lr_find" else {})][: len(ours)] == list(ours)
    assert all(ours[key].default == parameter.default for key, parameter in theirs.items())


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


class Rising(Net):
    """Its loss never falls."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * 0 + self.trainer.global_step


@pytest.mark.parametrize("update_attr", [False, True])
def test_curve_without_a_suggestion(update_attr):
    """Where there is no suggestion a warning says why, also when asked again; the curve is there to look at."""
    module = Rising()
    with pytest.warns(UserWarning, match="no learning rate is suggested: .*the loss never falls; raise max_lr"):
        finder = Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), update_attr=update_attr, **QUICK)
    assert module.lr == 1e-3
    assert finder.results["loss"][:3] == [0.0, 1.0, 2.0]
    assert finder.plot(suggest=True).axes[0].lines
    with pytest.warns(UserWarning, match="the loss never falls; raise max_lr"):
        assert finder.suggestion() is None


def test_error_of_tune_carries_the_curve():
    """Where ``tune`` has no suggestion its error has what was measured, and what each rule says."""
    config = TunerConfig(use_learning_rate_tuning=True, lr_min=1e-5, lr_num_training=40, lr_auto_extend=False)
    with pytest.raises(LRSuggestionError) as caught:
        tune(quiet_trainer(), Rising(), Blobs(), config, save_plot=False)
    assert caught.value.curve.losses[:3] == (0.0, 1.0, 2.0)
    assert "consensus" in {answer.suggester for answer in caught.value.suggestions}
    assert pickle.loads(pickle.dumps(caught.value)).curve == caught.value.curve


@pytest.mark.parametrize("steps", [1, 5])
def test_fewer_steps_than_can_be_read(steps):
    """A smoke test with a few steps gets their points; no rate is read off them, or written."""
    module = Net()
    with pytest.warns(UserWarning, match=f"num_training={steps} gives too few points, 10 are needed"):
        finder = Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), num_training=steps)
    assert finder.value is None
    assert len(finder.results["lr"]) == steps
    assert finder.results["lr"][0] == 1e-8
    assert module.lr == 1e-3


def test_without_training_batches():
    """Where the Trainer has no batches to train on there is an empty curve, and a warning that says so."""
    with pytest.warns(UserWarning, match="limit_train_batches=0 leaves no batch"):
        finder = Tuner(quiet_trainer(limit_train_batches=0)).lr_find(Net(), datamodule=Blobs())
    assert finder.value is None
    assert finder.results == {"lr": [], "loss": []}
    assert finder.plot(suggest=True).axes


def test_mode_in_capitals():
    """The case of a mode does not matter; the finder has what was asked for."""
    finder = Tuner(quiet_trainer()).lr_find(Net(), datamodule=Blobs(), mode="Exponential", **QUICK)
    assert (finder.mode, finder.lr_min, finder.lr_max, finder.num_training) == ("exponential", 1e-5, 1, 40)


def test_linear_from_zero():
    """A linear range may begin at 0; it is drawn as it is spaced."""
    finder = Tuner(quiet_trainer()).lr_find(
        Net(), datamodule=Blobs(), mode="linear", min_lr=0, max_lr=0.4, num_training=40, early_stop_threshold=None
    )
    assert finder.lr_min == 0
    assert finder.results["lr"] == pytest.approx([0.01 * step for step in range(1, 41)])
    assert finder.plot(suggest=True).axes[0].get_xscale() == "linear"


def test_results_may_be_changed():
    """What the user changes in ``results`` stays, and is what is read and drawn then."""
    finder = Tuner(quiet_trainer()).lr_find(Net(), datamodule=Blobs(), **QUICK)
    before, losses = finder.suggestion(), list(finder.results["loss"])
    finder.results["loss"][:] = [float(step) for step in range(len(losses))]
    with pytest.warns(UserWarning, match="the loss never falls"):
        assert finder.suggestion() is None
    assert max(finder.plot().axes[0].lines[0].get_ydata()) == len(losses) - 1
    finder.results = {"lr": finder.results["lr"], "loss": losses}
    assert finder.suggestion() == before


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
    """With fast_dev_run nothing is tried, and that is said: the present batch size is returned, and an empty curve."""
    trainer = quiet_trainer(fast_dev_run=True)
    with pytest.warns(UserWarning, match="fast_dev_run is on, so that no batch size is tried"):
        assert Tuner(trainer).scale_batch_size(Net(), datamodule=Blobs(batch_size=16)) == 16
    with pytest.warns(UserWarning, match="no learning rate is suggested: fast_dev_run"):
        finder = Tuner(trainer).lr_find(Net(), datamodule=Blobs())
    assert finder.results == {"lr": [], "loss": []}
    with pytest.warns(UserWarning, match="fast_dev_run"):
        assert finder.suggestion() is None


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
        ({"mode": "random"}, "^mode = 'random' is unknown; known are binsearch, power"),
        ({"method": "sanity"}, "^method 'sanity' is invalid; it is one of fit, validate"),
        ({"margin": 1.5}, "Tuner: margin = 1.5"),
        ({"init_val": 0}, "Tuner: init_val = 0"),
        ({"batch_arg_name": "size"}, "^batch_arg_name = 'size': no such number"),
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


class Bare(pl.LightningModule):
    """Has neither a learning rate nor a batch size."""

    def training_step(self, batch, batch_idx):
        return None

    def configure_optimizers(self):
        return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


LOADER = DataLoader(TensorDataset(*blobs()))
WRONG = {
    "no rate": ("lr_find", AttributeError, {"model": Bare()}),
    "no such rate": ("lr_find", AttributeError, {"attr_name": "eta"}),
    "no size": ("scale_batch_size", MisconfigurationException, {"model": Bare(), "train_dataloaders": None}),
    "no size of that name": ("scale_batch_size", MisconfigurationException, {"batch_arg_name": "size"}),
    "method without a rate": ("lr_find", MisconfigurationException, {"method": "test"}),
    "loaders of another method": ("scale_batch_size", MisconfigurationException, {"dataloaders": LOADER}),
    "unknown mode": ("scale_batch_size", ValueError, {"mode": "bogus"}),
    "unknown spacing": ("lr_find", ValueError, {"mode": "bogus"}),
    "unknown method": ("scale_batch_size", ValueError, {"method": "prediction"}),
    "unknown method, and loaders": ("scale_batch_size", ValueError, {"method": "prediction", "dataloaders": LOADER}),
    "no module": ("lr_find", TypeError, {"model": torch.nn.Linear(1, 1)}),
    "finder among the callbacks": ("lr_find", ValueError, {"callbacks": [LearningRateFinder()]}),
    "size finder among the callbacks": ("scale_batch_size", ValueError, {"callbacks": [BatchSizeFinder()]}),
}


@pytest.mark.parametrize("kind", WRONG)
def test_errors_are_also_what_lightning_raises(kind):
    """Code that catches Lightning's exceptions catches ours; the message names no setting that Tuner lacks."""
    name, expected, arguments = WRONG[kind]
    trainer = quiet_trainer(callbacks=arguments.pop("callbacks", None))
    call = {"model": Net(), "datamodule": None if "dataloaders" in arguments else Unsized(), **arguments}
    with pytest.raises(expected) as caught:
        getattr(Tuner(trainer), name)(**call)
    assert isinstance(caught.value, AutotuneError)
    assert not re.search("lr_min|lr_max|lr_mode|lr_attribute|batch_size_[a-z]+", str(caught.value))
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, expected)
    assert str(again) == str(caught.value)


class Unsized(Blobs):
    """Has no batch size."""

    def __init__(self):
        super().__init__()
        del self.batch_size

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=16)


def test_no_trainer():
    """What is no Trainer is refused in a sentence, as an error of the kind that Lightning's would be."""
    with pytest.raises(AttributeError, match="trainer must be a Lightning Trainer, not NoneType") as caught:
        Tuner(None).lr_find(Net(), datamodule=Blobs())
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("method", ["lr_find", "scale_batch_size"])
def test_data_that_fill_no_batch(method):
    """A training without a batch is refused as what it is."""

    class Dropping(Blobs):
        def train_dataloader(self):
            return DataLoader(TensorDataset(*blobs(0)), batch_size=self.batch_size)

    with pytest.raises(ConfigError, match="there is no training batch to try anything on"):
        getattr(Tuner(quiet_trainer()), method)(Net(), datamodule=Dropping())


def test_batch_size_without_training_batches():
    """Nor can a batch size be tried where the Trainer has no batches."""
    with pytest.raises(ConfigError, match="look at limit_train_batches"):
        Tuner(quiet_trainer(limit_train_batches=0)).scale_batch_size(Net(), datamodule=Blobs())


def test_errors_of_the_other_package():
    """The exception is of the package that the Trainer is of."""
    from pytorch_lightning import Trainer
    from pytorch_lightning.utilities.exceptions import MisconfigurationException as Other

    with pytest.raises(Other) as caught:
        Tuner(Trainer(logger=False, accelerator="cpu")).lr_find(None, method="test")
    assert not isinstance(caught.value, MisconfigurationException)


class Nested(Net):
    """Keeps its rate at the top, and others that are not its own further down."""

    def __init__(self, lr=1e-3, encoder=None):
        super().__init__(lr)
        del self.lr
        self.save_hyperparameters()
        self.learning_rate = 5e-4

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


@pytest.mark.parametrize("nested", [1e-4, 1e-3])
def test_name_at_the_top_wins(nested):
    """``lr`` of the module or its hparams is the one; nested ones, and ``learning_rate``, stay what they are."""
    module = Nested(encoder={"lr": nested})
    finder = Tuner(quiet_trainer()).lr_find(module, datamodule=Blobs(), **QUICK)
    assert module.hparams.lr == finder.suggestion()
    assert (module.hparams.encoder["lr"], module.learning_rate) == (nested, 5e-4)


@pytest.mark.parametrize("named", [{}, {"batch_arg_name": "batch_size"}])
def test_size_at_the_top_wins(named):
    """All that bear the name get the size, whatever they had; another name's stays."""

    class Sized(Net):
        batch_size = 64

    data, module = Blobs(batch_size=16), Sized()
    data.train_batch_size = 8
    assert Tuner(quiet_trainer()).scale_batch_size(module, datamodule=data, max_trials=3, **named) == 8
    assert (data.batch_size, module.batch_size, data.train_batch_size) == (8, 8, 8)
    data.train_batch_size = 5
    assert Tuner(quiet_trainer()).scale_batch_size(module, datamodule=data, max_trials=2, **named) == 4
    assert (data.batch_size, module.batch_size, data.train_batch_size) == (4, 4, 5)


@pytest.mark.parametrize("mode", ["power", "binsearch", "predictive"])
@pytest.mark.parametrize(("init_val", "max_trials", "expected"), [(4, 3, 16), (3, 4, 24), (4, 1, 4)])
def test_trials_bound_the_size(mode, init_val, max_trials, expected):
    """So many trials lead no further than by doubling, whatever the strategy."""
    data = Blobs(samples=10_000)
    size = Tuner(quiet_trainer()).scale_batch_size(
        Net(), datamodule=data, mode=mode, init_val=init_val, max_trials=max_trials
    )
    assert size == expected


def test_words_are_those_of_the_tuner(capsys):
    """What is printed speaks of the parameters of the method that was called."""
    trainer = quiet_trainer(enable_progress_bar=True)
    Tuner(trainer).scale_batch_size(Net(), datamodule=Blobs(), max_trials=2, mode="binsearch")
    Tuner(trainer).lr_find(Net(), datamodule=Blobs(), num_training=20)
    printed = capsys.readouterr().out
    assert "[Tuner::scale_batch_size] " in printed
    assert "[Tuner::lr_find] " in printed
    assert "limited by: max_trials" in printed
    assert "raise num_training" in printed
    assert "TunerConfig::" not in printed
    assert not re.search(r"(?<![\w.:])(lr_\w+|batch_size_\w+)", printed)


def test_subclass_of_the_tuner():
    """The Tuner can be made more of, and its methods called by position."""

    class Louder(Tuner):
        def lr_find(self, *arguments, **fields):
            return super().lr_find(*arguments, **{**QUICK, **fields})

    finder = Louder(quiet_trainer()).lr_find(Net(), None, None, None, Blobs(), "fit", weights_only=False)
    assert finder.suggestion() > 0
