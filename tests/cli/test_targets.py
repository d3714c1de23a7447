"""What the commands tune: targets of a file, the user's own Trainer; and what they say at the end."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lit_autotune.cli import main
from lit_autotune.settings.experiment import ExperimentConfig
from lit_autotune.settings.targets import find_targets

PROJECT = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset


class Data(LightningDataModule):
    def __init__(self, batch_size=16):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(64, 8), torch.randn(64, 1)), batch_size=self.batch_size)


class Net(LightningModule):
    def __init__(self, lr=1e-3):
        super().__init__()
        self.net, self.lr = torch.nn.Linear(8, 1), lr

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)

    def training_step(self, batch, batch_idx):
        return ((self.net(batch[0]) - batch[1]) ** 2).mean()
"""

TRAINER = """
trainer = Trainer(
    accelerator="cpu", precision="bf16-mixed", accumulate_grad_batches=2, gradient_clip_val=1.0, logger=False,
    max_epochs=7,
)
"""

FAST = ["--lr-num-training", "20", "--batch-size-max", "32", "--lr-verify", "false", "--compare", "false"]


@pytest.fixture
def project(request):
    """A file of a project, named so that no other test has imported it."""
    path = Path(f"project_{abs(hash(request.node.name))}.py")
    path.write_text(PROJECT)
    return path


def run(*arguments):
    """The report that a command wrote."""
    assert main(["tune", *map(str, arguments), *FAST, "--report", "report.json"]) == 0
    return json.loads(Path("report.json").read_text())


def test_a_trainer_of_the_users_own(project, capsys):
    """The Trainer named is the one that tunes, and the report says what it does."""
    project.write_text(PROJECT + TRAINER)
    report = run(f"{project}:Net", f"{project}:Data", f"{project}:trainer", "--max-epochs", 3)
    assert report["trainer"] == {
        "precision": "bf16-mixed",
        "device": "cpu",
        "devices": 1,
        "accumulate_grad_batches": 2,
        "gradient_clip_val": 1.0,
        "max_epochs": 3,
    }
    first = next(line for line in capsys.readouterr().out.splitlines() if "run_tuning]" in line)
    assert "Trainer: precision bf16-mixed, device cpu" in first


def test_a_file_alone(project, capsys):
    """A file with one module, datamodule and Trainer needs no names."""
    project.write_text(PROJECT + TRAINER)
    assert run(project, "-q")["trainer"]["max_epochs"] == 7
    captured = capsys.readouterr()
    assert f"autotune: {project}:Net, {project}:Data, {project}:trainer" in captured.err
    assert "run_tuning]" not in captured.out


def test_objects_count_before_classes(project):
    """What a file makes is what it would train."""
    project.write_text(PROJECT + "\nnet = Net(lr=0.1)\n")
    assert find_targets(str(project)) == {"module": f"{project}:net", "datamodule": f"{project}:Data"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("\nclass Other(Net):\n    pass\n", "several of the kind LightningModule: .*:Net, .*:Other; name the ones"),
        ("\ndel Net\n", "defines no LightningModule"),
    ],
)
def test_a_file_that_leaves_it_open(project, capsys, more, message):
    """Several of a kind are listed, none is said."""
    project.write_text(PROJECT + more)
    assert main(["tune", str(project)]) == 2
    assert __import__("re").search(message, capsys.readouterr().err)


def test_the_lines_at_the_end_are_a_config_that_repeats_the_result(project, capsys):
    """What is printed after a tuning is a TOML file, with which the classes get the values found."""
    report = run(f"{project}:Net", f"{project}:Data")
    text = capsys.readouterr().out.partition("To keep these values without tuning again:")[2]
    lines = [line.removeprefix("    ") for line in text.splitlines() if line.startswith("    ")]
    config = tomllib.loads("\n".join(lines))
    assert config["tuner_config"] == {"use_batch_size_tuning": False, "use_learning_rate_tuning": False}
    for role in ("module", "datamodule"):
        config[f"{role}_config"]["class_path"] = f"{project}:{'Net' if role == 'module' else 'Data'}"
    _, module, datamodule = ExperimentConfig.from_document(config, Path("x.toml")).setup_target()
    assert (datamodule.batch_size, module.lr) == (report["batch_size"]["chosen"], report["learning_rate"]["chosen"])


def test_the_production_snippet_of_the_guide(project, capsys):
    """Tables without a class get it from the command line; without that it is said."""
    Path("config.toml").write_text("[datamodule_config]\nbatch_size = 8\n\n[module_config]\nlr = 3.16e-3\n")
    assert main(["tune", "--config", "config.toml"]) == 2
    assert "autotune fit MODULE DATAMODULE --config FILE" in capsys.readouterr().err
    report = run(f"{project}:Net", f"{project}:Data", "--config", "config.toml")
    assert (report["batch_size"]["old"], report["learning_rate"]["old"]) == (8, 3.16e-3)


@pytest.mark.parametrize(
    ("option", "instead"), [("--tune-batch-size", "--use-batch-size-tuning"), ("--config_path", "--config")]
)
def test_former_options(capsys, option, instead):
    """Options of the tool before are met with what to write instead."""
    with pytest.raises(SystemExit, match="2"):
        main(["fit", option, "x"])
    assert f"{option} is now {instead}" in capsys.readouterr().err


def test_former_callback_table(project, capsys):
    """So is the table of the callback."""
    Path("config.toml").write_text("[trainer_config.callbacks]\nuse_batch_size_finder = true\n")
    assert main(["tune", f"{project}:Net", f"{project}:Data", "--config", "config.toml"]) == 2
    assert "write use_batch_size_tuning = true under [tuner_config]" in capsys.readouterr().err


def test_python_m():
    """``python -m lit_autotune`` is the command."""
    command = [sys.executable, "-m", "lit_autotune", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("lit-autotune")
