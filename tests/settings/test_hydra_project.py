"""Hydra projects, laid out as the lightning-hydra template: composed by Hydra, and a later run that uses the values."""

import json
import logging
import os
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase

from lit_autotune import cli
from lit_autotune.config import TunerConfig
from lit_autotune.errors import ConfigError
from lit_autotune.settings.hydra_files import holding, replace
from lit_autotune.settings.hydra_job import Source
from lit_autotune.settings.hydra_project import HydraProject

PARTS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from torch import nn
from support.models import Blobs, Net as Plain

USED = []

def network(width):
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 3))

class Used(Plain):
    def on_train_start(self):
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        USED.append((self.trainer.train_dataloader.batch_size, rate, self.trainer.default_root_dir))

class LitNet(Used):
    def __init__(self, net, optimizer, scheduler=None):
        super().__init__()
        del self.lr
        self.save_hyperparameters(logger=False, ignore=["net"])
        self.network = net

    def configure_optimizers(self):
        return self.hparams.optimizer(params=self.trainer.model.parameters())

class Simple(Used):
    def __init__(self, lr=1e-3):
        super().__init__(lr)

class Renamed(Used):
    def __init__(self, peak):
        super().__init__(peak)

class Whole(Used):
    def __init__(self, cfg):
        super().__init__()
        del self.lr
        self.cfg = cfg

    def configure_optimizers(self):
        import torch
        return torch.optim.Adam(self.parameters(), lr=self.cfg.optim.lr)

class Fails(Simple):
    def __init__(self, lr=1e-3):
        raise RuntimeError("of my own")

class Data(Blobs):
    def __init__(self, data_dir="", batch_size=16, samples=256):
        super().__init__(batch_size, samples)
        self.save_hyperparameters(logger=False)
        self.data_dir = data_dir

def make(lr):
    return Simple(lr)
"""
SCRIPT = """
import os
os.environ.setdefault("PROJECT_ROOT", os.getcwd())
import hydra
from hydra.utils import instantiate
from lightning import seed_everything

@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
def main(cfg):
    seed_everything(cfg.seed)
    datamodule = instantiate(cfg.data)
    model = instantiate(cfg.model)
    callbacks = [instantiate(one) for one in cfg.callbacks.values() if "_target_" in one]
    trainer = instantiate(cfg.trainer, callbacks=callbacks)
    if cfg.tune:
        import lit_autotune
        report = lit_autotune.tune(trainer, model, datamodule, lit_autotune.TunerConfig(**cfg.tuner))
    trainer.fit(model, datamodule)

main()
"""
CONFIGS = {
    "train.yaml": """\
# @package _global_
defaults:
  - _self_
  - data: blobs
  - model: net
  - callbacks: default
  - trainer: default
  - paths: default
  - hydra: default
  - experiment: null

task_name: train
seed: 3
tune: false
size: 16  # for whoever refers to it
tuner: {}
""",
    "data/blobs.yaml": "_target_: src.parts.Data\ndata_dir: ${paths.data_dir}\nbatch_size: 16  # of a device\n",
    "data/linked.yaml": "_target_: src.parts.Data\nbatch_size: ${size}\n",
    "data/plain.yaml": "_target_: src.parts.Data\n",
    "model/net.yaml": """\
_target_: src.parts.LitNet

# which one, and how fast
optimizer:
  _target_: torch.optim.Adam
  _partial_: true
  lr:   0.001     # tune me
  weight_decay: 0.0

net:
  _target_: src.parts.network
  width: 16
""",
    "model/default_rate.yaml": "_target_: src.parts.Simple\n",
    "model/renamed.yaml": "_target_: src.parts.Renamed\npeak: 0.001\n",
    "model/whole.yaml": "_target_: src.parts.Whole\ncfg:\n  optim: {lr: 0.001, name: adam}\n",
    "model/made.yaml": "_target_: src.parts.make\nlr: 0.001\n",
    "callbacks/default.yaml": "summary:\n  _target_: lightning.pytorch.callbacks.Timer\nnone: {}\n",
    "trainer/default.yaml": """\
_target_: lightning.Trainer
default_root_dir: ${paths.output_dir}
max_epochs: 1
accelerator: cpu
logger: false
enable_checkpointing: false
enable_progress_bar: false
enable_model_summary: false
""",
    "paths/default.yaml": """\
root_dir: ${oc.env:PROJECT_ROOT}
data_dir: ${paths.root_dir}/data/
log_dir: ${paths.root_dir}/logs/
output_dir: ${hydra:runtime.output_dir}
work_dir: ${hydra:runtime.cwd}
""",
    "hydra/default.yaml": "run:\n  dir: ${paths.log_dir}/${task_name}/${now:%Y}\njob:\n  env_set: {MINE: set}\n",
    "experiment/small.yaml": "# @package _global_\ndefaults:\n  - override /data: plain\ndata:\n  batch_size: 8\n",
}
QUICK = {
    "batch_size_max": 32,
    "batch_size_target": "largest",
    "compare": False,
    "lr_num_training": 20,
    "lr_min": 1e-5,
    "lr_verify": False,
    "verbose": False,
}
FLAGS = [f"--{name.replace('_', '-')}={str(value).lower()}" for name, value in QUICK.items() if name != "verbose"]
FLAGS.append("--no-verbose")
BOTH = TunerConfig(use_batch_size_tuning=True, use_learning_rate_tuning=True, **QUICK)
COMMAND = ["tune", "--hydra", "configs/train", *FLAGS]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project like the template's; gives what its modules and later runs have used."""
    files = {f"configs/{name}": text for name, text in CONFIGS.items()}
    for name, text in {**files, "src/parts.py": PARTS, "src/train.py": SCRIPT, ".project-root": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("PROJECT_ROOT", raising=False)
    names = [name for name in sys.modules if name.partition(".")[0] == "src"]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    yield lambda: sys.modules["src.parts"].USED[-1]
    for name in [name for name in sys.modules if name.partition(".")[0] == "src"]:
        del sys.modules[name]


def run_script(monkeypatch, *overrides):
    """What `python src/train.py OVERRIDES` does, with Hydra's own decorator."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["src/train.py", *overrides, "hydra/job_logging=none", "hydra/hydra_logging=none"])
        patch.setattr(logging.root, "handlers", [])
        patch.syspath_prepend(os.getcwd())
        patch.setenv("PROJECT_ROOT", os.getcwd())
        runpy.run_path("src/train.py", run_name="__main__")
    return sys.modules["src.parts"].USED[-1][:2]


def kept(name="r.json"):
    report = json.loads(Path(name).read_text())
    return report, report["keep"]


def test_the_overrides_that_are_printed_train_with_the_values(project, monkeypatch, capsys):
    """`autotune tune --hydra`: a line to paste; a run of the project's own script with it uses the values."""
    command = [word for word in COMMAND if word != "--no-verbose"]
    assert cli.main([*command, "--report", "r.json"]) == 0
    report, (line,) = kept()
    rate = report["learning_rate"]["chosen"]
    assert line == f"data.batch_size=32 model.optimizer.lr={rate!r}"
    assert f"    {line}\n" in capsys.readouterr().out
    assert rate != 1e-3
    assert run_script(monkeypatch, *shlex.split(line)) == (32, rate)
    assert run_script(monkeypatch) == (16, 1e-3)


def test_write_puts_the_values_where_they_stand(project, monkeypatch, capsys):
    """`--write`: two scalars are replaced in two files, all else stays to the byte; the script trains with them."""
    assert cli.main([*COMMAND, "--write", "--report", "r.json"]) == 0
    rate = kept()[0]["learning_rate"]["chosen"]
    texts = {name: Path("configs", name).read_text() for name in CONFIGS}
    changed = {name: text for name, text in texts.items() if text != CONFIGS[name]}
    assert changed == {
        "data/blobs.yaml": CONFIGS["data/blobs.yaml"].replace("16", "32"),
        "model/net.yaml": CONFIGS["model/net.yaml"].replace("0.001", repr(rate)),
    }
    said = capsys.readouterr().out
    assert "data.batch_size = 32 written to configs/data/blobs.yaml:3" in said
    assert f"model.optimizer.lr = {rate!r} written to configs/model/net.yaml:7" in said
    assert run_script(monkeypatch) == (32, rate)


def test_the_last_file_that_has_a_value_gets_it(project, monkeypatch):
    """An experiment's file is above the data's; what the command line sets stands in none."""
    assert cli.main([*COMMAND, "experiment=small", "--write", "model.optimizer.lr=0.002", "--report", "r.json"]) == 0
    report, (line,) = kept()
    assert (report["batch_size"]["old"], report["learning_rate"]["old"]) == (8, 0.002)
    assert Path("configs/experiment/small.yaml").read_text() == CONFIGS["experiment/small.yaml"].replace("8", "32")
    assert Path("configs/model/net.yaml").read_text() == CONFIGS["model/net.yaml"]
    used = run_script(monkeypatch, "experiment=small", "model.optimizer.lr=0.002", *shlex.split(line))
    assert used == (32, report["learning_rate"]["chosen"])


def test_what_stands_in_no_file_is_said(project, capsys):
    """The override to append is printed where `--write` has no place to write to."""
    assert cli.main([*COMMAND, "--no-use-learning-rate-tuning", "--write", "data.batch_size=4"]) == 0
    assert "data.batch_size stands in no file of its own; append data.batch_size=32 to the" in capsys.readouterr().out
    assert Path("configs/data/blobs.yaml").read_text() == CONFIGS["data/blobs.yaml"]


CASES = {
    "data=linked": ("size=32", "train.yaml:15"),
    "data=plain": ("+data.batch_size=32", None),
    "model=default_rate": ("+model.lr=RATE", None),
    "model=renamed": ("model.peak=RATE", "model/renamed.yaml:2"),
    "model=whole": ("model.cfg.optim.lr=RATE", "model/whole.yaml:3"),
    "model=made": ("model.lr=RATE", "model/made.yaml:2"),
}


@pytest.mark.parametrize("case", CASES)
def test_keys_of_all_kinds(project, monkeypatch, case):
    """An interpolation, an argument's default, another name than the attribute's, a table, a function."""
    override, where = CASES[case]
    is_size = case.startswith("data")
    switches = {"use_batch_size_tuning": is_size, "use_learning_rate_tuning": not is_size}
    tuned = HydraProject(Path("configs/train"), [case], BOTH.model_copy(update=switches))
    tuned.tune(*tuned.setup_target(), save_plot=False)
    (line,) = tuned.report.keep
    result = tuned.report.batch_size or tuned.report.learning_rate
    assert line == override.replace("RATE", repr(result.chosen))
    assert run_script(monkeypatch, case, line)[0 if is_size else 1] == pytest.approx(result.chosen)
    (said,) = tuned.pin(Path(), tuned.report)
    assert where is None or said.endswith(f"written to configs/{where}")
    if where is None:
        assert f"append {line} to the command line" in said
    else:
        assert run_script(monkeypatch, case)[0 if is_size else 1] == pytest.approx(result.chosen)


def test_fit_trains_in_the_folder_of_the_run(project):
    """`autotune fit --hydra`: tunes, then trains, with `${hydra:runtime.output_dir}` as the script would have it."""
    assert cli.main(["fit", *COMMAND[1:], "--seed", "5", "--max-epochs", "2"]) == 0
    size, rate, folder = project()
    assert size == 32
    assert rate != 1e-3
    assert Path(folder).parent == Path.cwd() / "logs/train"


def test_seed_and_epochs_are_overrides(project):
    """`--seed` and `--max-epochs` are above all else, also for what refers to them; callbacks are the template's."""
    overrides = ["+model.scheduler=${trainer.max_epochs}", "seed=4"]
    tuned = HydraProject(Path("configs/train.yaml"), overrides, BOTH, seed=7, max_epochs=6)
    trainer, module, datamodule = tuned.setup_target()
    assert (trainer.max_epochs, module.hparams.scheduler) == (6, 6)
    assert datamodule.data_dir == f"{Path.cwd()}/data/"
    assert os.environ["PL_GLOBAL_SEED"] == "7"
    assert type(trainer.callbacks[0]).__name__ == "Timer"


def test_the_process_is_as_before(project):
    """Hydra's global state, the environment and the import path are put back, also those of a job that is running."""
    own = object()
    GlobalHydra.instance().hydra, HydraConfig.instance().cfg = own, own
    base, path = VersionBase.instance(), list(sys.path)
    try:
        tuned = HydraProject(Path("configs/train"), [], BOTH)
        tuned.setup_target()
        with pytest.raises(ConfigError):
            HydraProject(Path("configs/train"), ["data.size=3"], BOTH).setup_target()
        assert GlobalHydra.instance().hydra is own
        assert HydraConfig.instance().cfg is own
        assert VersionBase.instance() is base
    finally:
        GlobalHydra.instance().hydra = HydraConfig.instance().cfg = None
    assert sys.path == path
    assert not {"PROJECT_ROOT", "MINE"} & set(os.environ)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hydra", "configs/trian"], "there is no trian.yaml in configs; it has train"),
        (["--hydra", "configs"], "add the name of a configuration in it: train"),
        (["--hydra", "nowhere/train"], "there is no folder nowhere"),
        (["--hydra", "configs/train", "data.batchsize=3"], "Could not override 'data.batchsize'"),
        (["--hydra", "configs/train", "data=nope"], "Could not find 'data/nope'; Available options in 'data'"),
        (["--hydra", "configs/train", "src/train.py"], "'src/train.py' is no override"),
        (["--hydra", "configs/train", "--write", "my.toml"], "takes no FILE with --hydra"),
        (["--hydra", "configs/train", "~model"], "nothing in it makes a LightningModule: no model with a _target_"),
        (["--hydra", "configs/train", "~trainer"], "nothing in it makes a Trainer"),
        (["--hydra", "configs/train", "~data"], "nothing in it makes a LightningDataModule"),
        (["--hydra", "configs/train", "model._target_=src.parts.Lost"], "Error loading 'src.parts.Lost'"),
        (["--hydra", "configs/train", "+model.depth=3"], "unexpected keyword argument 'depth'"),
        (["--hydra", "configs/train", "+trainer.depth=3"], "unexpected keyword argument 'depth'"),
        (["--hydra", "configs/train", "data.data_dir=${mine:3}"], "Unsupported interpolation type mine; have the"),
        (["--hydra", "configs/train", "task_name=${nowhere}"], "Interpolation key 'nowhere' not found"),
        (["--write"], "add the FILE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(project, capsys, words, said):
    """What Hydra refuses, or misses, is said in one line before anything is tuned, with exit code 2."""
    assert cli.main(["tune", *words, *FLAGS]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("autotune:")]
    assert said in line


def test_a_broken_file_is_one_line(project, capsys):
    """What is no YAML is told with the file and the line."""
    Path("configs/data/blobs.yaml").write_text("a: {b: ${c}}\n")
    assert cli.main(COMMAND) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "blobs.yaml" in line
    assert "line 1" in line


def test_other_options_are_refused(project, capsys):
    """What is neither an option nor an override is a usage error; so is a LightningCLI besides."""
    for words in (["--data.batch_size=3"], ["--lightning-config", "config.yaml"]):
        with pytest.raises(SystemExit) as error:
            cli.main([*COMMAND, *words])
        assert error.value.code == 2


def test_errors_of_the_users_come_out_as_they_are(project):
    """Hydra wraps what a constructor raises; here it is the user's own exception again."""
    with pytest.raises(RuntimeError, match=r"^of my own"):
        cli.main([*COMMAND, "model=default_rate", "model._target_=src.parts.Fails"])


def test_a_missing_extra_is_one_line(project, capsys, monkeypatch):
    """Without Hydra the error names what to install."""
    monkeypatch.setitem(sys.modules, "hydra", None)
    assert cli.main(COMMAND) == 2
    assert "pip install 'lit-autotune[hydra]'" in capsys.readouterr().err


def test_a_training_that_goes_on_is_not_tuned(project):
    """`ckpt_path`, whatever characters it has: the fit goes on from there, untuned."""
    Path("configs/trainer/default.yaml").write_text(
        CONFIGS["trainer/default.yaml"].replace("enable_checkpointing: false\n", "")
    )
    command = ["fit", "--hydra", "configs/train", "model=default_rate"]
    assert cli.main([*command, "--no-use-batch-size-tuning", "--no-use-learning-rate-tuning"]) == 0
    (made,) = Path("logs").rglob("*.ckpt")
    checkpoint = made.rename("it's, epoch=0.ckpt")
    with pytest.warns(UserWarning, match=r"nothing tuned: the training goes on from it's, epoch=0\.ckpt"):
        assert cli.main([*command, *FLAGS, "--ckpt-path", str(checkpoint), "--max-epochs", "2"]) == 0
    assert project()[:2] == (16, 1e-3)


def test_two_lines_in_the_script(project, monkeypatch):
    """`lit_autotune.tune` inside of `@hydra.main`: the fit that follows uses the values."""
    tuner = [f"+tuner.{name}={str(value).lower()}" for name, value in QUICK.items()]
    switches = ["+tuner.use_batch_size_tuning=true", "+tuner.use_learning_rate_tuning=true"]
    size, rate = run_script(monkeypatch, "tune=true", *tuner, *switches)
    assert size == 32
    assert rate != 1e-3


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a:\n  lr: 1e-3 # x\n", "a:\n  lr: 0.5 # x\n"),
        ("a: {b: 2, lr: 0.001}\n", "a: {b: 2, lr: 0.5}\n"),
        ("a:\r\n    lr: '0.001'\r\nb: 1\r\n", "a:\r\n    lr: 0.5\r\nb: 1\r\n"),
        ("a:\n  lr: &rate 0.001\nb: *rate\n", "a:\n  lr: &rate 0.5\nb: *rate\n"),
        ("a:\n  lr: !!float 0.001", "a:\n  lr: !!float 0.5"),
        ("ü: é\na:\n  'lr': 0.001\n", "ü: é\na:\n  'lr': 0.5\n"),
        ("b: &rate 0.001\na:\n  lr: *rate\n", None),
        ("a:\n  lr: ${rate}\n", None),
        ("a:\n  lr: 0.002\n", None),
        ("a: 3\n", None),
        ("", None),
    ],
)
def test_one_scalar_is_replaced(text, written):
    """Comments, quotes of keys, anchors, tags and line ends stay; what is no number of the file's own is let alone."""
    path = Path("some.yaml")
    path.write_bytes(text.encode())
    place = holding([Source(path, ())], ("a", "lr"), 0.001)
    assert (place is None) == (written is None)
    if place:
        replace(place, 0.5)
        assert path.read_bytes().decode() == written


def test_small_rates_are_numbers_for_all_readers():
    """`1e-05` is text for YAML 1.1; a point is added."""
    path = Path("some.yaml")
    path.write_text("lr: 0.001\n")
    replace(holding([Source(path, ("a",))], ("a", "lr"), 0.001), 1e-5)
    assert path.read_text() == "lr: 1.0e-05\n"
