"""Finding, reading and writing the batch size and the learning rate wherever users keep them."""

import argparse
import copy
import dataclasses
import functools
from collections import UserDict
from decimal import Decimal
from types import SimpleNamespace
from typing import NamedTuple

import attrs
import lightning.pytorch as pl
import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger
from omegaconf import MISSING, OmegaConf
from pydantic import BaseModel, Field
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, SequentialLR
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


@attrs.define
class Defined:
    lr: float = 0.1


@attrs.frozen
class FrozenDefined:
    lr: float = 0.1


class Row(NamedTuple):
    lr: float = 0.1


@dataclasses.dataclass
class Typed:
    lr: float = 0.1
    name: str = MISSING


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


def partial(**keywords):
    """An optimizer but for its parameters, as Hydra and LightningCLI make it."""
    return functools.partial(torch.optim.Adam, **(keywords or {"lr": 0.1}))


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
    (lambda: with_attributes(LR=0.1), "module.LR"),
    (lambda: with_attributes(config={"learningRate": 0.1}), "module.config.learningRate"),
    (lambda: with_attributes(lr="1e-1"), "module.lr"),
    (lambda: with_attributes(config=Defined()), "module.config.lr"),
    (lambda: with_attributes(config=FrozenDefined()), "module.config.lr"),
    (lambda: with_attributes(config=Row()), "module.config.lr"),
    (lambda: with_attributes(make=partial()), "module.make.keywords.lr"),
    (lambda: with_attributes(_make=partial()), "module._make.keywords.lr"),
    (lambda: SavedNested(partial()), "module.hparams.optimizer.keywords.lr"),
    (lambda: with_attributes(config={"a": {"b": {"c": partial()}}}), "module.config.a.b.c.keywords.lr"),
    (lambda: with_attributes(make=partial(inner=partial())), "module.make.keywords.inner.keywords.lr"),
    (lambda: with_attributes(params=FrozenOuter(optimizer=partial())), "module.params.optimizer.keywords.lr"),
    (lambda: with_attributes(cfg=OmegaConf.create({"optim": {"lr": 0.1, "n": "???"}})), "module.cfg.optim.lr"),
    (lambda: with_attributes(cfg=OmegaConf.create({"lr": 0.1, "n": "${nowhere}"})), "module.cfg.lr"),
    (lambda: with_attributes(cfg=OmegaConf.structured(Typed)), "module.cfg.lr"),
    (lambda: SavedNested(OmegaConf.create({"lr": 0.1, "dir": "${hydra:runtime.cwd}"})), "module.hparams.optimizer.lr"),
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


@pytest.mark.parametrize(
    ("attributes", "near"),
    [
        ({}, ""),
        ({"network": Net()}, ""),
        ({"lr": True}, "module.lr is a bool"),
        ({"lr": "auto"}, "module.lr is the text 'auto'"),
        ({"lr": [0.1]}, "module.lr is a list"),
        ({"lr": Decimal("0.1")}, "module.lr is a Decimal"),
        ({"lr": torch.ones(2)}, r"module.lr is a Tensor of shape \(2,\)"),
        ({"base_lr": 0.1, "lr_backbone": 0.01}, r"module.base_lr = 0.1; module.lr_backbone = 0.01"),
        ({"params": {"init_learning_rate": "0.1"}}, "module.params.init_learning_rate is the text '0.1'"),
        ({"cfg": OmegaConf.create({"lr": "???"})}, "module.cfg.lr is missing"),
        ({"optimizer": lambda p: torch.optim.Adam(p, lr=0.1)}, "module.optimizer is a function.*cannot be changed"),
        ({"optimizer": torch.optim.Adam}, "module.optimizer is the class Adam"),
        ({"optimizer": partial(eps=1.0)}, "module.optimizer is a partial without a lr"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # an object's own text differs from process to process
)
def test_nothing_found(attributes, near):
    """Booleans, lists and what networks hold are no settings; the error lists what may be meant, and what to do."""
    with pytest.raises(ConfigError, match=rf"no lr or learning_rate found in the module.*{near}.*lr_attribute"):
        find_lr(with_attributes(**attributes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_stay_tensors(dtype):
    """A tensor of one element is a number; it is replaced by one of its type, and not changed itself."""
    tensor = torch.tensor(0.5, dtype=dtype)
    module = with_attributes(lr=tensor)
    setting = find_lr(module)
    assert setting.value == 0.5
    write_all({"module": module}, setting, 0.25)
    assert (module.lr.item(), module.lr.dtype, tensor.item()) == (0.25, dtype, 0.5)


def test_a_trained_rate_is_no_setting():
    """A parameter cannot be set for good, for training changes it."""
    with pytest.raises(ConfigError, match=r"module\.lr is a Parameter"):
        find_lr(with_attributes(lr=torch.nn.Parameter(torch.tensor(0.5))))


def test_partials_of_others_stay_as_they_are():
    """The partial that is an argument's default belongs to all instances: each gets one of its own."""

    class Made(SavedNested):
        def __init__(self, optimizer=partial(lr=0.1, eps=1.0)):  # noqa: B008
            super().__init__(optimizer)
            self.optimizer = optimizer

    module, other = Made(), Made()
    setting = find_lr(module)
    assert str(setting) == "module.optimizer.keywords.lr, module.hparams.optimizer.keywords.lr"
    write_all({"module": module}, setting, 0.5)
    for made in (module.optimizer, module.hparams.optimizer, module.hparams_initial["optimizer"]):
        assert (made.func, made.keywords) == (torch.optim.Adam, {"lr": 0.5, "eps": 1.0})
    assert other.optimizer.keywords["lr"] == Made().optimizer.keywords["lr"] == 0.1


def test_read_only_configurations_are_replaced():
    """The module gets a changed copy that is read-only, too; the configuration itself is shared and stays."""
    cfg = OmegaConf.create({"optim": {"lr": 0.1, "same": "${optim.lr}"}})
    OmegaConf.set_readonly(cfg, True)
    OmegaConf.set_struct(cfg, True)
    module = with_attributes(cfg=cfg)
    write_all({"module": module}, find_lr(module), 0.5)
    assert (module.cfg.optim.lr, module.cfg.optim.same, cfg.optim.lr) == (0.5, 0.5, 0.1)
    assert OmegaConf.is_readonly(module.cfg)
    assert OmegaConf.is_struct(module.cfg)


def test_what_cannot_be_replaced_is_refused_by_name():
    """A property without a setter holds its read-only configuration for good, and the error says where it is."""

    class Fixed:
        def __init__(self):
            self._cfg = OmegaConf.create({"lr": 0.1})
            OmegaConf.set_readonly(self._cfg, True)

        hparams = property(lambda self: self._cfg)

    module = Fixed()
    with pytest.raises(ConfigError, match=r"module\.hparams\.lr cannot be set to 0\.5"):
        write_all({"module": module}, find_lr(module), 0.5)
    assert module.hparams.lr == 0.1


def test_exact_names_before_other_spellings():
    """A constant of another spelling does not compete, and neither does an optimizer that is there already."""
    module = with_attributes(lr=0.1, LR=0.2)
    module.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    assert str(find_lr(module)) == "module.lr"


@pytest.mark.parametrize("schedule", ["lambda", "within a SequentialLR", "CyclicLR"])
def test_an_optimizer_that_is_there_already(schedule):
    """Its groups keep their ratios, and its scheduler goes along."""
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    module = with_attributes(lr_free=True)
    module.optimizer = torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.4}])
    if schedule == "CyclicLR":
        module.scheduler = CyclicLR(module.optimizer, [0.1, 0.4], [0.2, 0.8], step_size_up=1, cycle_momentum=False)
    else:
        module.scheduler = LambdaLR(module.optimizer, lambda step: 1 + step)
    if schedule == "within a SequentialLR":
        module.scheduler = SequentialLR(module.optimizer, [module.scheduler], [])
    setting = find_lr(module)
    assert (str(setting), setting.value) == ("module.optimizer.lr", 0.1)
    write_all({"module": module}, setting, 0.3)
    rates = [[group["lr"] for group in module.optimizer.param_groups]]
    module.optimizer.step()
    module.scheduler.step()
    rates.append([group["lr"] for group in module.optimizer.param_groups])
    assert rates == [pytest.approx([0.3, 1.2]), pytest.approx([0.6, 2.4])]


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
