"""Finding, reading and writing the batch size and the learning rate wherever users keep them."""

import argparse
import copy
import dataclasses
from collections import UserDict
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger
from pydantic import BaseModel, Field
from torch.utils.data import Dataset

from lit_autotune.copies.attributes import BATCH_SIZE_NAMES, LEARNING_RATE_NAMES, Place, find_setting, read, write
from lit_autotune.errors import ConfigError
from support.models import Blobs, Net, RandomNet, quiet_trainer


class Optimizer(BaseModel):
    lr: float = Field(0.1, lt=10)


class FrozenOptimizer(Optimizer, frozen=True):
    pass


class Params(BaseModel):
    optimizer: Optimizer = Optimizer()


class FrozenParams(Params, frozen=True):
    optimizer: Optimizer = FrozenOptimizer()


@dataclasses.dataclass
class Record:
    lr: float = 0.1


@dataclasses.dataclass(frozen=True)
class FrozenRecord:
    lr: float = 0.1


@dataclasses.dataclass(slots=True)
class Outer:
    optimizer: Record | FrozenRecord = dataclasses.field(default_factory=Record)


@dataclasses.dataclass(frozen=True)
class FrozenOuter:
    optimizer: FrozenRecord = FrozenRecord()


class Tree(UserDict):
    """A configuration that is a mapping but no dictionary."""


class Plain:
    """The user's own configuration object."""

    def __init__(self, **values):
        self.__dict__.update(values)


class SavedParams(pl.LightningModule):
    """A module that keeps its argument in two places."""

    def __init__(self, params):
        super().__init__()
        self.save_hyperparameters()
        self.params = params


class SavedNested(pl.LightningModule):
    """A module that keeps nested hyperparameters."""

    def __init__(self, optimizer):
        super().__init__()
        self.save_hyperparameters()


class SavedBlobs(Blobs):
    """A datamodule that keeps its batch size in both usual places."""

    def __init__(self, batch_size=16):
        super().__init__(batch_size, samples=32)
        self.save_hyperparameters()


def with_attributes(root=pl.LightningModule, **attributes):
    """A module or datamodule with some attributes."""
    made = root()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def find_lr(module, explicit=None):
    return find_setting({"module": module}, LEARNING_RATE_NAMES, explicit, "lr_attribute")


def find_batch_size(datamodule, explicit=None, **others):
    return find_setting({**others, "datamodule": datamodule}, BATCH_SIZE_NAMES, explicit, "batch_size_attribute")


def write_all(owners, setting, value):
    for place in setting.places:
        write(owners, place, value)


HOMES = [
    (lambda: with_attributes(lr=0.1), "module.lr"),
    (lambda: with_attributes(learning_rate=0.1), "module.learning_rate"),
    (lambda: RandomNet(0.1), "module.hparams.learning_rate"),
    (lambda: SavedNested({"lr": 0.1}), "module.hparams.optimizer.lr"),
    (lambda: with_attributes(params=Params()), "module.params.optimizer.lr"),
    (lambda: with_attributes(params=Params(optimizer=FrozenOptimizer())), "module.params.optimizer.lr"),
    (lambda: with_attributes(params=FrozenParams()), "module.params.optimizer.lr"),
    (lambda: with_attributes(params=Record()), "module.params.lr"),
    (lambda: with_attributes(params=FrozenRecord()), "module.params.lr"),
    (lambda: with_attributes(params=FrozenOuter()), "module.params.optimizer.lr"),
    (lambda: with_attributes(params=Outer()), "module.params.optimizer.lr"),
    (lambda: with_attributes(params=Plain(optimizer=FrozenRecord())), "module.params.optimizer.lr"),
    (lambda: with_attributes(config={"optimizer": {"lr": 0.1}}), "module.config.optimizer.lr"),
    (lambda: with_attributes(config=Tree(optimizer=Tree(lr=0.1))), "module.config.optimizer.lr"),
    (lambda: with_attributes(args=argparse.Namespace(lr=0.1)), "module.args.lr"),
    (lambda: with_attributes(args=SimpleNamespace(lr=0.1)), "module.args.lr"),
    (lambda: with_attributes(config=Plain(lr=0.1)), "module.config.lr"),
    (lambda: with_attributes(config=Plain(training=Plain(learning_rate=0.1))), "module.config.training.learning_rate"),
]


@pytest.mark.parametrize(("make", "place"), HOMES)
def test_homes_of_the_learning_rate(make, place):
    """The place is found and read, and written on a copy without reaching the original."""
    original = make()
    setting = find_lr(original)
    assert (str(setting), setting.value) == (place, 0.1)
    made = copy.deepcopy(original)
    write_all({"module": made}, setting, 0.5)
    assert find_lr(made).value == read({"module": made}, setting.places[0]) == 0.5
    assert find_lr(original).value == 0.1


@pytest.mark.parametrize(
    ("datamodule", "places"),
    [
        (Blobs(16), "datamodule.batch_size"),
        (SavedBlobs(), "datamodule.batch_size, datamodule.hparams.batch_size"),
        (with_attributes(pl.LightningDataModule, train_batch_size=16), "datamodule.train_batch_size"),
        (with_attributes(pl.LightningDataModule, inner=Blobs(16)), "datamodule.inner.batch_size"),
    ],
)
def test_homes_of_the_batch_size(datamodule, places):
    """Attribute, hyperparameter, both together, another usual name, or a datamodule inside."""
    setting = find_batch_size(datamodule)
    assert (str(setting), setting.value) == (places, 16)
    write_all({"datamodule": datamodule}, setting, 64)
    assert find_batch_size(datamodule) == dataclasses.replace(setting, value=64)


def test_module_and_datamodule_together():
    """If module and datamodule hold the same batch size, both are written."""
    module, datamodule = with_attributes(batch_size=16), Blobs(16)
    write_all({"module": module, "datamodule": datamodule}, find_batch_size(datamodule, module=module), 8)
    assert (module.batch_size, datamodule.batch_size) == (8, 8)


def test_loggers_show_the_new_values(tmp_path):
    """What Lightning hands to loggers is kept in step, so that a real fit logs the values it uses."""

    module, datamodule = RandomNet(), SavedBlobs()
    owners = {"module": module, "datamodule": datamodule}
    write_all(owners, find_lr(module), 0.25)
    write_all(owners, find_batch_size(datamodule), 4)
    logger = CSVLogger(tmp_path)
    quiet_trainer(logger=logger, max_steps=1, log_every_n_steps=1).fit(module, datamodule=datamodule)
    with open(f"{logger.log_dir}/hparams.yaml") as file:
        assert yaml.safe_load(file) == {"learning_rate": 0.25, "manual": False, "batch_size": 4}


@pytest.mark.parametrize("params", [Params, FrozenParams, Record, FrozenRecord, Outer, FrozenOuter])
def test_record_kept_in_two_places(params):
    """A record that is an attribute and a hyperparameter, frozen or not, changes in both, and for loggers."""
    module = SavedParams(params())
    setting = find_lr(module)
    write_all({"module": module}, setting, 0.5)
    for record in (module.params, module.hparams.params, module.hparams_initial["params"]):
        assert read({"params": record}, Place("params", setting.places[0].path[1:])) == 0.5


def test_none_is_a_placeholder():
    """``None`` means "to be tuned": a place to write to, but no competitor of a number."""
    setting = find_batch_size(Blobs(None))
    assert (str(setting), setting.value) == ("datamodule.batch_size", None)
    setting = find_lr(with_attributes(lr=None, learning_rate=0.1))
    assert (str(setting), setting.value) == ("module.learning_rate", 0.1)


def test_places_that_disagree():
    """Different values are not guessed about: the error lists each place with its value."""
    listed = r"module\.batch_size = 32, module\.config\.train_batch_size = 8, datamodule\.batch_size = 16"
    with pytest.raises(ConfigError, match=rf"{listed}.*batch_size_attribute"):
        find_batch_size(Blobs(16), module=with_attributes(batch_size=32, config={"train_batch_size": 8}))


@pytest.mark.parametrize("attributes", [{}, {"lr": True}, {"lr": "0.1"}, {"lr": [0.1]}, {"network": Net()}])
def test_nothing_found(attributes):
    """Booleans, texts, lists and what networks hold are no settings; the error says how to name the place."""
    with pytest.raises(ConfigError, match=r"no lr or learning_rate found in the module.*lr_attribute"):
        find_lr(with_attributes(**attributes))


def test_data_sets_are_not_looked_into():
    """A number that a data set calls its batch size is not the loader's."""

    class Shards(Dataset):
        batch_size = 1000

    datamodule = with_attributes(pl.LightningDataModule, data=Shards(), batch_size=16)
    assert str(find_batch_size(datamodule)) == "datamodule.batch_size"


@pytest.mark.parametrize(
    "explicit",
    [
        "module.hparams.optimizer.lr",
        "hparams.optimizer.lr",
        "optimizer.lr",
        "module.optimizer.lr",
        "hparams['optimizer']['lr']",
        'module.hparams["optimizer"]["lr"]',
        "module.hparams[optimizer].lr",
    ],
)
def test_explicit_names(explicit):
    """A place can be named with dots or brackets, with or without its owner and ``hparams``."""
    setting = find_lr(SavedNested({"lr": 0.1, "momentum": 0.9}), explicit)
    assert (str(setting), setting.value) == ("module.hparams.optimizer.lr", 0.1)


def test_explicit_name_settles_a_disagreement():
    """The named place counts, with its copy for loggers; the others stay."""
    datamodule = with_attributes(SavedBlobs, train_batch_size=8, odd=3)
    assert str(find_batch_size(datamodule, "train_batch_size")) == "datamodule.train_batch_size"
    assert str(find_batch_size(datamodule, "batch_size")) == "datamodule.batch_size, datamodule.hparams.batch_size"
    assert find_batch_size(datamodule, "datamodule.odd").value == 3


@pytest.mark.parametrize("explicit", ["datamodule.batch_sise", "datamodul.batch_size", "datamodule.hparams", "", "."])
def test_explicit_name_of_nothing(explicit):
    """A name that leads to no number is refused; the error lists what there is, and what was probably meant."""
    with pytest.raises(ConfigError, match=r"batch_size_attribute = .*known are datamodule\.batch_size") as caught:
        find_batch_size(Blobs(16), explicit)
    assert ("did you mean 'datamodule.batch_size'" in str(caught.value)) == (len(explicit) > 1)


def test_properties():
    """A property with a setter is written through it; one without cannot be set, and the error says which."""

    class ReadOnly(pl.LightningModule):
        @property
        def lr(self):
            return 0.1

    class Settable(pl.LightningModule):
        inner = 0.1

        @property
        def lr(self):
            return self.inner

        @lr.setter
        def lr(self, value):
            self.inner = value

    module = Settable()
    write({"module": module}, find_lr(module).places[0], 0.5)
    assert module.inner == 0.5
    with pytest.raises(ConfigError, match=r"module\.lr cannot be set to 0\.5"):
        write({"module": ReadOnly()}, Place("module", ("lr",)), 0.5)


def test_property_that_cannot_be_read_yet():
    """A property that needs a running Trainer is no place, and does not stop the others from being found."""

    class Live(pl.LightningModule):
        @property
        def learning_rate(self):
            return self.trainer.optimizers[0].param_groups[0]["lr"]

    module = Live()
    module.lr = 0.1
    assert str(find_lr(module)) == "module.lr"


def test_value_that_a_record_refuses():
    """A value that the user's own validation refuses is a one-line error, and nothing has changed."""
    module = with_attributes(params=FrozenParams())
    with pytest.raises(ConfigError, match=r"module\.params\.optimizer\.lr cannot be set to 100") as caught:
        write({"module": module}, find_lr(module).places[0], 100)
    assert "\n" not in str(caught.value)
    assert find_lr(module).value == 0.1
