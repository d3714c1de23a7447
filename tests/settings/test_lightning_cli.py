"""LightningCLI projects: real YAML files, Lightning's own parser, and a later fit that uses the values."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lightning.pytorch.cli import LightningCLI

from lit_autotune import AutotuneCLI, cli
from lit_autotune.config import TunerConfig
from lit_autotune.settings.lightning_cli import LightningProject

TRAIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import torch
from lightning.pytorch.cli import OptimizerCallable
from support.models import Blobs, Net as Plain

USED = []

class Base(Plain):
    def __init__(self, lr=1e-3):
        super().__init__(lr)

    def on_train_start(self):
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        USED.append((self.trainer.train_dataloader.batch_size, rate))

class Net(Base):
    def __init__(self, lr: float = 1e-3, width: int = 16):
        super().__init__(lr)
        self.save_hyperparameters()

class Renamed(Base):
    \"\"\"Keeps its rate under another name than that of the argument; another one has the same value.\"\"\"
    def __init__(self, decay: float = 1e-3, peak: float = 1e-3):
        super().__init__(peak)
        self.decay = decay

class Scaled(Base):
    def __init__(self, base: float = 1e-3):
        super().__init__(0.5 * base)

class Maker(Base):
    def __init__(self, optimizer: OptimizerCallable = torch.optim.Adam):
        super().__init__()
        del self.lr
        self.optimizer = optimizer

    def configure_optimizers(self):
        return self.optimizer(self.parameters())

class Bare(Base):
    def __init__(self):
        super().__init__()
        del self.lr

class Table(Base):
    def __init__(self, hyper: dict):
        super().__init__()
        del self.lr
        self.hyper = hyper

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hyper["lr"])

class Both(Base):
    def __init__(self, batch_size: int, lr: float = 1e-3):
        super().__init__(lr)
        self.batch_size = batch_size

class Data(Blobs):
    def __init__(self, batch_size: int = 16):
        super().__init__(batch_size)
"""
CONFIG = """\
# my experiment
seed_everything: 3
trainer:
  max_epochs: 1
  accelerator: cpu
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  enable_model_summary: false
  default_root_dir: runs
model:
  class_path: train_cli.Net
  init_args:
    lr: 0.001  # to be tuned
    width: 16
data:
  class_path: train_cli.Data
  init_args:
    batch_size: 16  # small
"""
QUICK = {
    "batch_size_max": 32,
    "batch_size_target": "largest",
    "compare": False,
    "lr_num_training": 30,
    "lr_min": 1e-5,
    "lr_verify": False,
    "verbose": False,
}
FLAGS = [f"--{name.replace('_', '-')}={str(value).lower()}" for name, value in QUICK.items() if name != "verbose"]
FLAGS.append("--no-verbose")
TUNER = [f"--tuner.{name}={str(value).lower()}" for name, value in QUICK.items()]
BOTH = TunerConfig(use_batch_size_tuning=True, use_learning_rate_tuning=True, **QUICK)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """A user's folder with a module of classes and a config.yaml; gives the module."""
    (tmp_path / "train_cli.py").write_text(TRAIN)
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["main.py"])
    sys.modules.pop("train_cli", None)
    import train_cli

    yield train_cli
    sys.modules.pop("train_cli", None)


def config(changes):
    """Write config.yaml with other sections."""
    Path("config.yaml").write_text(yaml.safe_dump({**yaml.safe_load(CONFIG), **changes}))


def plain_fit(train, *arguments, model=None, data=None):
    """Fit with a LightningCLI that knows nothing of tuning; returns batch size and rate that the fit used."""
    train.USED.clear()
    LightningCLI(model, data, args=["fit", *arguments], save_config_callback=None)
    return train.USED[-1]


def test_tune_writes_the_values_into_the_yaml_and_a_plain_fit_uses_them(train):
    """`autotune tune --lightning-config --write`: right keys, comments kept; LightningCLI trains with them."""
    command = ["tune", "--lightning-config", "config.yaml", *FLAGS, "--report", "r.json", "--write", "config.yaml"]
    assert cli.main(command) == 0
    report = json.loads(Path("r.json").read_text())
    text = Path("config.yaml").read_text()
    pinned = yaml.safe_load(text)
    rate = report["learning_rate"]["chosen"]
    assert rate != 1e-3
    assert pinned["data"]["init_args"]["batch_size"] == report["batch_size"]["chosen"] == 32
    assert pinned["model"]["init_args"] == {"lr": rate, "width": 16}
    changed = [line for line in text.splitlines() if line not in CONFIG.splitlines()]
    assert len(changed) == 2  # all else is as it was, byte for byte
    assert changed[0].endswith("# to be tuned")
    assert plain_fit(train, "--config", "config.yaml") == (32, rate)


def test_what_lightning_saves_beside_the_run_repeats_it(train):
    """`autotune fit --lightning-config`: the config.yaml beside the run has the values that the run used."""
    config({"trainer": {**yaml.safe_load(CONFIG)["trainer"], "logger": True}})
    assert cli.main(["fit", "--lightning-config", "config.yaml", *FLAGS]) == 0
    used = train.USED[-1]
    assert used[0] == 32
    (saved,) = Path("runs").rglob("config.yaml")
    assert yaml.safe_load(saved.read_text())["model"]["init_args"]["lr"] == used[1]
    assert plain_fit(train, "--config", str(saved), "--trainer.logger=false") == used


def test_further_files_and_arguments_go_to_lightnings_parser(train):
    """Later files are above earlier ones, arguments above files; `--config` may be YAML, too."""
    Path("more.yaml").write_text("model:\n  init_args:\n    width: 4\n")
    command = ["tune", "--lightning-config", "config.yaml", "--config", "more.yaml", "--model.lr", "0.125", *FLAGS]
    assert cli.main([*command, "--data.batch_size=4", "--no-use-batch-size-tuning", "--report", "r.json"]) == 0
    assert json.loads(Path("r.json").read_text())["learning_rate"]["old"] == 0.125


def test_a_new_file_gets_the_whole_configuration(train):
    """With several files or further arguments a new file has all that was in force."""
    assert cli.main(["tune", "--lightning-config=config.yaml", "--model.width=4", *FLAGS, "--write", "new.yaml"]) == 0
    written = yaml.safe_load(Path("new.yaml").read_text())
    assert written["model"]["init_args"]["width"] == 4
    assert plain_fit(train, "--config", "new.yaml") == (32, written["model"]["init_args"]["lr"])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (["--lightning-config", "none.yaml"], "none.yaml"),
        (["--lightning-config", "config.yaml", "--model.widht=3"], "widht"),
        (["--lightning-config", "config.yaml", "--trainer.max_epochs=many"], "trainer.max_epochs"),
        (["--lightning-config", "config.yaml", "--model=train_cli.Missing"], "Missing"),
        (["--model.lr=0.1"], None),
        (["--lightning-config", "config.yaml", "--lr-mix", "3"], None),
    ],
)
def test_mistakes_are_one_line_of_the_parsers(train, capsys, bad, said):
    """What Lightning's parser refuses is said in one line, with exit code 2."""
    if said is None:
        with pytest.raises(SystemExit) as error:
            cli.main(["tune", *bad])
        assert error.value.code == 2
        return
    assert cli.main(["tune", *bad, *FLAGS]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("autotune:")]
    assert len(lines) == 1
    assert said in lines[0]


def test_the_form_of_a_file_survives(train):
    """Indentation, quotes, lists and comments stay; keys that the file lacks are added with their class."""
    text = (
        "# top\ntrainer:\n    max_epochs: 1\n    logger: 'false'\n    callbacks:\n"
        "      - class_path: ModelSummary # a list\n\nmodel: train_cli.Net\n"
    )
    text = text.replace("'false'", "false")
    Path("four.yaml").write_text(text)
    command = ["tune", "--lightning-config", "four.yaml", "--data=train_cli.Data", *FLAGS, "--write", "four.yaml"]
    assert cli.main(command) == 0
    written = Path("four.yaml").read_text()
    assert written.startswith(text.partition("model:")[0])
    values = yaml.safe_load(written)
    assert set(values["model"]) == {"class_path", "init_args"}
    assert values["data"] == {"class_path": "train_cli.Data", "init_args": {"batch_size": 32}}
    arguments = ["--config", "four.yaml", "--trainer.accelerator=cpu"]
    assert plain_fit(train, *arguments) == (32, values["model"]["init_args"]["lr"])


def test_a_missing_extra_is_one_line(train, capsys, monkeypatch):
    """Without jsonargparse the error names what to install."""
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    assert cli.main(["tune", "--lightning-config", "config.yaml"]) == 2
    assert "pip install 'lit-autotune[cli]'" in capsys.readouterr().err


def test_classes_of_the_script_are_named_as_targets(train):
    """Where the script names the classes the files have no class_path; then keys have no init_args."""
    Path("config.yaml").write_text(
        CONFIG.replace("  class_path: train_cli.Net\n  init_args:\n  ", "")
        .replace("  class_path: train_cli.Data\n  init_args:\n  ", "")
        .replace("    width", "  width")
    )
    targets = ["train_cli.py:Net", "train_cli.py:Data"]
    command = ["tune", *targets, "--lightning-config", "config.yaml", *FLAGS, "--write", "config.yaml"]
    assert cli.main(command) == 0
    pinned = yaml.safe_load(Path("config.yaml").read_text())
    assert pinned["data"] == {"batch_size": 32}
    used = plain_fit(train, "--config", "config.yaml", model=train.Net, data=train.Data)
    assert used == (32, pinned["model"]["lr"])


ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.001}}
CASES = {
    "optimizer:": ({"model": "train_cli.Bare", "optimizer": ADAM}, "optimizer.init_args.lr"),
    "optimizer by name": ({"model": "train_cli.Bare", "optimizer": "Adam"}, "optimizer.init_args.lr"),
    "OptimizerCallable": (
        {"model": {"class_path": "train_cli.Maker", "init_args": {"optimizer": ADAM}}},
        "model.init_args.optimizer.init_args.lr",
    ),
    "its default": ({"model": {"class_path": "train_cli.Net"}}, "model.init_args.lr"),
    "a table": (
        {"model": {"class_path": "train_cli.Table", "init_args": {"hyper": {"lr": 0.001}}}},
        "model.init_args.hyper.lr",
    ),
    "another name": ({"model": "train_cli.Renamed"}, "model.init_args.peak"),
    "a schedule": (
        {
            "model": "train_cli.Bare",
            "optimizer": ADAM,
            "lr_scheduler": {"class_path": "StepLR", "init_args": {"step_size": 5}},
        },
        "optimizer.init_args.lr",
    ),
    "a peak": (
        {
            "model": "train_cli.Bare",
            "optimizer": ADAM,
            "lr_scheduler": {"class_path": "OneCycleLR", "init_args": {"max_lr": 0.01, "total_steps": 16}},
        },
        "lr_scheduler.init_args.max_lr",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rates_go_back_to_where_they_came_from(train, case):
    """Each of the ways to give a rate: it is tuned, written under its key, and used by a later fit."""
    changes, key = CASES[case]
    config(changes)
    project = LightningProject([Path("config.yaml")], [], BOTH.model_copy(update={"use_batch_size_tuning": False}))
    objects = project.setup_target()
    project.tune(*objects, save_plot=False)
    rate = project.report.learning_rate
    assert rate.applied
    (line,) = project.lines(project.report)
    assert line == (f"--{key}={rate.chosen!r}" if case != "a table" else f"--{key[:-3]}='{{\"lr\": {rate.chosen!r}}}'")
    project.run(*objects)
    tuned = train.USED[-1]
    project.pin(Path("config.yaml"), project.report)
    assert plain_fit(train, "--config", "config.yaml") == pytest.approx(tuned)
    if case == "a table":
        config(changes)
        assert plain_fit(train, "--config", "config.yaml", *shlex.split(line)) == pytest.approx(tuned)


def test_a_rate_without_a_key_is_said(train, capsys):
    """No key is made up: where a value is computed from one, that is said, and the file stays as it is."""
    config({"model": "train_cli.Scaled"})
    before = Path("config.yaml").read_text()
    assert cli.main(["tune", "--lightning-config=config.yaml", *FLAGS, "--write=config.yaml"]) == 0
    assert "no key of the configuration is known for module.lr" in capsys.readouterr().err
    assert yaml.safe_load(before)["model"] == yaml.safe_load(Path("config.yaml").read_text())["model"]


class Linked(AutotuneCLI):
    """A user's CLI: a batch size for both, and a name of its own for the rate."""

    def add_arguments_to_parser(self, parser):
        parser.add_argument("--rate", type=float, default=1e-3)
        parser.link_arguments("data.batch_size", "model.batch_size")
        parser.link_arguments("rate", "model.lr")


ARGS = ["--config", "config.yaml"]


@pytest.fixture
def fixed(train):
    """A config.yaml for classes that the script names."""
    settings = {name: value for name, value in yaml.safe_load(CONFIG).items() if name != "model"}
    Path("config.yaml").write_text(yaml.safe_dump({**settings, "data": {"batch_size": 16}}))
    return train


@pytest.mark.slow
def test_the_other_package_and_a_file_with_its_subcommand(train):
    """A module of `pytorch_lightning`, in a file that begins with `fit:`; in a process that has imported neither."""
    models = (Path(__file__).parents[1] / "support/models.py").read_text()
    Path("models.py").write_text(models.replace("lightning.pytorch", "pytorch_lightning"))
    classes = TRAIN.replace("lightning.pytorch", "pytorch_lightning").replace("support.models", "models")
    Path("other_cli.py").write_text(classes)
    sections = yaml.safe_load(CONFIG.replace("train_cli", "other_cli"))
    Path("config.yaml").write_text(yaml.safe_dump({"fit": sections}))
    command = ["tune", "--lightning-config=config.yaml", *FLAGS, "--write=config.yaml"]
    code = f"import sys; from lit_autotune.cli import main; sys.exit(main({command!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(Path("config.yaml").read_text())["fit"]["data"]["init_args"]["batch_size"] == 32


def test_autotune_cli_tunes_before_a_fit(fixed):
    """`fit --tune true`: trains with the values; any LightningCLI repeats the run from the config that was saved."""
    command = ["fit", *ARGS, "--trainer.logger=true", "--tune=true", *TUNER]
    autotune = AutotuneCLI(fixed.Net, fixed.Data, args=command)
    used = fixed.USED[-1]
    assert used == (32, autotune.report.learning_rate.chosen)
    (saved,) = Path("runs").rglob("config.yaml")
    assert plain_fit(fixed, "--config", str(saved), "--trainer.logger=false", model=fixed.Net, data=fixed.Data) == used


def test_autotune_cli_is_a_lightning_cli(fixed):
    """Without `--tune` it does what LightningCLI does, and saves the same file."""
    for kind, folder in ((LightningCLI, "run_a"), (AutotuneCLI, "run_b")):
        where = [f"--trainer.default_root_dir={folder}", "--trainer.logger=true"]
        kind(fixed.Net, fixed.Data, args=["fit", *ARGS, *where])
    (one,), (two,) = Path("run_a").rglob("config.yaml"), Path("run_b").rglob("config.yaml")
    assert one.read_text().replace("run_a", "run_b") == two.read_text()
    assert fixed.USED == [(16, 1e-3)] * 2


@pytest.mark.slow
def test_autotune_cli_has_a_subcommand(fixed, capsys):
    """`tune`: trains nothing, prints what to paste, writes where asked; links are followed to what is given."""
    quiet = [flag for flag in TUNER if "verbose" not in flag]
    autotune = Linked(fixed.Both, fixed.Data, args=["tune", *ARGS, *quiet, "--write=config.yaml"])
    assert autotune.trainer.state.fn is None
    rate = autotune.report.learning_rate.chosen
    assert f"--data.batch_size=32 --rate={rate!r}" in capsys.readouterr().out
    assert yaml.safe_load(Path("config.yaml").read_text())["rate"] == rate
    Linked(fixed.Both, fixed.Data, args=["fit", *ARGS])
    assert fixed.USED[-1] == (32, rate)


def test_autotune_cli_in_a_script_that_fits_itself(fixed):
    """`run=False`: `cli.tune()` between making the objects and fitting them."""
    arguments = [*ARGS, *TUNER]
    autotune = AutotuneCLI(fixed.Net, fixed.Data, run=False, args=arguments)
    report = autotune.tune()
    assert autotune.config.model.lr == report.learning_rate.chosen
    assert autotune.config.data.batch_size == 32
    autotune.trainer.fit(autotune.model, autotune.datamodule)
    assert fixed.USED[-1] == (32, report.learning_rate.chosen)


def test_a_lightning_cli_that_tunes_before_its_fit_saves_the_values(fixed):
    """`run_tuning` in `before_fit` of any LightningCLI: what is saved beside the run has the values, too."""

    class Tuning(LightningCLI):
        def before_fit(self):
            BOTH.run_tuning(self.trainer, self.model, self.datamodule)

    Tuning(fixed.Net, fixed.Data, args=["fit", *ARGS, "--trainer.logger=true"])
    (saved,) = Path("runs").rglob("config.yaml")
    values = yaml.safe_load(saved.read_text())
    assert (values["data"]["batch_size"], values["model"]["lr"]) == fixed.USED[-1]
    assert fixed.USED[-1][0] == 32


def test_values_that_cannot_be_saved_are_told(fixed):
    """A value that the saved config cannot have is a warning, and in the report."""
    cli = AutotuneCLI(fixed.Scaled, fixed.Data, run=False, args=[*ARGS, *TUNER])
    with pytest.warns(UserWarning, match=r"config.yaml beside the run keeps the old value of module.lr"):
        report = cli.tune()
    assert "module.lr" in report.warnings[-1]


def test_what_is_only_reported_is_not_saved(fixed):
    """With `update_model_lr` off the run keeps its rate, and so does its configuration."""
    autotune = AutotuneCLI(
        fixed.Net, fixed.Data, args=["fit", *ARGS, "--tune=true", *TUNER, "--tuner.update_model_lr=false"]
    )
    assert fixed.USED[-1] == (32, 1e-3)
    assert autotune.config.fit.model.lr == 1e-3


def test_importing_the_package_needs_no_lightning():
    """`import lit_autotune` is as light as ever."""
    code = "import sys, lit_autotune; print([n for n in ('lightning', 'jsonargparse', 'torch') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
