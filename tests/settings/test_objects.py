"""Import strings, tables that become objects, and a whole experiment read from a file."""

import dataclasses
import importlib
import json
import shutil
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from pydantic import BaseModel

from lit_autotune import ConfigError, ExperimentConfig, TargetError
from lit_autotune._shared.import_string import load_target
from lit_autotune.settings.objects import instantiate

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@dataclasses.dataclass
class Record:
    lr: float = 0.1
    dtype: torch.dtype = torch.float32


class Params(BaseModel):
    lr: float = 0.1
    momentum: float = 0.9


@dataclasses.dataclass(frozen=True)
class Sizes:
    width: int
    depth: int = 2


class Model:
    """What a user's module looks like from outside."""

    def __init__(self, width: int = 8, sizes: Sizes | None = None):
        self.width, self.sizes = width, sizes


class Learner:
    def __init__(self, params: Params):
        self.params = params


class Sized:
    def __init__(self, sizes: Sizes):
        self.sizes = sizes


class Recorded:
    def __init__(self, record: Record):
        self.record = record


class Anything:
    def __init__(self, **arguments):
        self.arguments = arguments


class Outer:
    class Inner:
        pass


def factory(width: int):
    """A function that makes a model."""
    return Model(width)


INSTANCE = Model(3)
HERE = __name__


def table(class_path, **arguments):
    """A table as TOML gives it, with a class of this file."""
    return {"class_path": f"{HERE}:{class_path}", **arguments}


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch):
    """Forget the modules that a test imports from its own folder, and the seed it sets."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        monkeypatch.setenv(name, "0")
    known = set(sys.modules)
    importlib.invalidate_caches()
    yield
    for name in set(sys.modules) - known:
        if str(Path.cwd()) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("json:JSONDecoder", json.JSONDecoder),
        ("json.decoder:JSONDecoder", json.JSONDecoder),
        ("json.decoder.JSONDecoder", json.JSONDecoder),
        (f"{HERE}:Outer.Inner", Outer.Inner),
    ],
)
def test_spellings(target, expected):
    """Module and class are parted by a colon or a dot; a class inside a class is fine."""
    assert load_target(target) is expected


@pytest.mark.parametrize("folder", ["project", "my project", "with:colon"])
def test_file(folder):
    """A file is named relative to a base or absolutely, is imported once, and finds its neighbours."""
    base = Path(folder)
    (base / "sub").mkdir(parents=True)
    (base / "sub" / "own_neighbour.py").write_text("width = 5")
    (base / "sub" / "own_model.py").write_text("import own_neighbour\nclass Net:\n    width = own_neighbour.width\n")
    net = load_target("sub/own_model.py:Net", base)
    assert net.width == 5
    assert load_target("./sub/own_model.py:Net", base) is net
    assert load_target(f"{(base / 'sub' / 'own_model.py').resolve()}:Net") is net


def test_file_whose_name_has_a_dot():
    """``net.v2.py`` is a fine name for a file."""
    Path("own.v2.py").write_text("class Net:\n    width = 6\n")
    assert load_target("own.v2.py:Net").width == 6


def test_module_in_the_current_folder():
    """As with ``python -m`` the shell's folder is importable."""
    Path("own_package").mkdir()
    Path("own_package/models.py").write_text("class Net:\n    width = 7\n")
    assert load_target("own_package.models:Net").width == 7


def test_two_files_of_one_name():
    """The second of two files that would be the same module is refused, not mixed up with the first."""
    for name, width in (("one", 1), ("two", 2)):
        Path(name).mkdir()
        Path(name, "own_twin.py").write_text(f"width = {width}")
    assert load_target("one/own_twin.py:width") == 1
    with pytest.raises(TargetError, match=r"'own_twin' is already imported; rename"):
        load_target("two/own_twin.py:width")


@pytest.mark.parametrize("target", ["", "Net", ":Net", "json:", "json.", ".models:Net", "..models.Net"])
def test_malformed(target):
    """What cannot be a target is told which forms there are."""
    with pytest.raises(TargetError, match=r"is not of the form 'package\.module:Class' or 'path/to/file\.py:Class'"):
        load_target(target)


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        ("no_such_package:Net", "there is no module 'no_such_package'; is it installed"),
        ("json.no_such_module:Net", r"there is no module 'json\.no_such_module'"),
        ("no_such_package.models.Net", "there is no module 'no_such_package'"),
        ("no_such_file.py:Net", r"there is no file no_such_file\.py"),
    ],
)
def test_no_such_module(target, missing):
    """The error names the module or file that is not there."""
    with pytest.raises(TargetError, match=missing):
        load_target(target)


def test_no_such_attribute():
    """The error names the class that is not there, and the one that was probably meant."""
    with pytest.raises(TargetError, match=r"json has no attribute 'JSONDecodr'; did you mean 'JSONDecoder'"):
        load_target("json:JSONDecodr")


@pytest.mark.parametrize("target", ["own_broken.py:Net", "own_broken:Net"])
def test_missing_import_inside_the_users_module(target):
    """It is the user's own error, and keeps its type and its traceback."""
    Path("own_broken.py").write_text("import no_such_dependency\nclass Net: pass\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as caught:
        load_target(target)
    assert caught.traceback[-1].path.name == "own_broken.py"


def test_tables_become_objects():
    """Each table with a class path becomes an instance, at any depth and in lists; all else stays as it is."""
    layers = [table("Model", width=1), {"plain": table("Model", width=2)}, 3]
    made = instantiate(table("Anything", layers=layers, name="x"), where="module_config")
    assert made.arguments["name"] == "x"
    first, second, third = made.arguments["layers"]
    assert (first.width, second["plain"].width, third) == (1, 2, 3)
    assert instantiate({"a": [1, {"b": 2}]}) == {"a": [1, {"b": 2}]}


def test_factories_and_instances():
    """The path may name a function that makes the object, or the object itself, which takes no arguments."""
    assert instantiate(table("factory", width=5)).width == 5
    assert instantiate(table("INSTANCE")) is INSTANCE
    with pytest.raises(ConfigError, match=r"\[module_config\]: .*INSTANCE .*takes no arguments"):
        instantiate(table("INSTANCE", width=5), where="module_config")


@pytest.mark.parametrize("name", ["Model", "factory"])
def test_unknown_argument(name):
    """The error names the argument with its table, and the one that was probably meant."""
    with pytest.raises(ConfigError, match=rf"^module_config\.widht: {name} takes .*did you mean 'width'"):
        instantiate(table(name, widht=5), where="module_config")


def test_missing_argument():
    """The error names the table, the class and the argument."""
    with pytest.raises(ConfigError, match=r"^\[datamodule_config\]: Sized: missing a required argument: 'sizes'"):
        instantiate(table("Sized"), where="datamodule_config")


def test_the_users_own_errors_come_through():
    """An error inside a class that was called correctly is the user's."""
    with pytest.raises(ZeroDivisionError):
        instantiate({"class_path": "fractions:Fraction", "numerator": 1, "denominator": 0})


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("Learner", {"params": {"lr": 0.5}}, Params(lr=0.5)),
        ("Sized", {"sizes": {"width": 4}}, Sizes(4)),
        ("Model", {"sizes": {"width": 4}}, Sizes(4)),
        ("Recorded", {"record": {"lr": 0.5}}, Record(0.5)),
    ],
)
def test_tables_become_records(name, arguments, expected):
    """A table goes to a parameter annotated as a pydantic model or a dataclass, optional or not, as an instance."""
    ((argument, _),) = arguments.items()
    assert getattr(instantiate(table(name, **arguments)), argument) == expected


@pytest.mark.parametrize(
    ("name", "arguments", "place"),
    [("Learner", {"params": {"lr": "fast"}}, r"params\.lr"), ("Sized", {"sizes": {"width": "wide"}}, r"sizes\.width")],
)
def test_table_that_does_not_fit_its_record(name, arguments, place):
    """The error names the value and its place, in one line."""
    with pytest.raises(ConfigError, match=rf"^module_config\.{place} = '(fast|wide)': ") as caught:
        instantiate(table(name, **arguments), where="module_config")
    assert "\n" not in str(caught.value)


def test_experiment():
    """The example's file gives its trainer, module and datamodule, its class paths relative to the file."""
    shutil.copytree(DIGITS, "copied")
    config = ExperimentConfig.from_toml("copied/autotune.toml")
    assert (config.tuner_config.use_learning_rate_tuning, config.seed) == (True, 1)
    trainer, module, datamodule = config.setup_target()
    assert isinstance(trainer, pl.Trainer)
    assert trainer.max_epochs == 10
    assert (type(module).__name__, module.hparams.learning_rate) == ("DigitsCNN", 1e-3)
    assert (type(datamodule).__name__, datamodule.hparams.batch_size) == ("Digits", 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[module_config]", "[modul_config]"), "unknown key 'modul_config'; did you mean 'module_config'"),
        (("use_batch_size_tuning = true", "lr_min = 2.0"), r"lr_min \(2\) must be below lr_max"),
        (("seed = 1", 'seed = "one"'), "seed = 'one'"),
        (('class_path = "digits.py:DigitsCNN"', ""), r'\[module_config\] needs class_path = "package\.module:Class"'),
        (("digits.py:Digits", "digits.py:Digit"), "no attribute 'Digit"),
        (("max_epochs", "max_epoch"), r"trainer_config\.max_epoch: Trainer .*did you mean 'max_epochs'"),
        (("width = 32", "widht = 32"), r"module_config\.widht: DigitsCNN .*did you mean 'width'"),
    ],
)
def test_experiment_with_a_mistake(change, message):
    """Each mistake in the file is one line that says where and what."""
    shutil.copytree(DIGITS, "copied")
    path = Path("copied/autotune.toml")
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises((ConfigError, TargetError), match=message) as caught:
        ExperimentConfig.from_toml(path).setup_target()
    assert "\n" not in str(caught.value)
