"""A training that goes on from a checkpoint keeps what it was begun with."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

from lit_autotune import ExperimentConfig
from lit_autotune.cli import main

TRAIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support.models import Blobs, Net as Plain

USED = []

class Net(Plain):
    def __init__(self, lr: float = 1e-3):
        super().__init__(lr)

    def on_train_end(self):
        USED.append((self.trainer.global_step, self.lr))

class Data(Blobs):
    def __init__(self, batch_size: int = 16):
        super().__init__(batch_size)
"""
TRAINER = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
TABLES = {
    "tuner_config": {"use_batch_size_tuning": True, "use_learning_rate_tuning": True},
    "module_config": {"class_path": "train_resumed:Net"},
    "datamodule_config": {"class_path": "train_resumed:Data"},
}


@pytest.fixture
def train(tmp_path, monkeypatch):
    """A user's module, trained for one epoch; gives it. The checkpoint is `last.ckpt`."""
    (tmp_path / "train_resumed.py").write_text(TRAIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("train_resumed", None)
    import train_resumed

    begun = ExperimentConfig.from_document(
        {**TABLES, "tuner_config": {}, "trainer_config": {**TRAINER, "max_epochs": 1}}, None
    )
    begun.setup_target_and_run().save_checkpoint("last.ckpt")
    assert train_resumed.USED.pop() == (16, 1e-3)
    yield train_resumed
    sys.modules.pop("train_resumed", None)


def test_an_experiment_goes_on_untuned(train, capsys):
    """From the step where it was; the user is told."""
    document = {**TABLES, "trainer_config": {**TRAINER, "max_epochs": 2}, "ckpt_path": "last.ckpt"}
    config = ExperimentConfig.from_document(document, None)
    config.setup_target_and_run()
    assert train.USED == [(32, 1e-3)]
    assert config.report is None
    assert "nothing tuned: the training goes on from last.ckpt" in capsys.readouterr().out


def test_a_checkpoint_is_what_is_evaluated(train):
    """`validate`, `test` and `predict` load it, too."""
    weights = torch.load("last.ckpt", weights_only=True)["state_dict"]
    document = {**TABLES, "trainer_config": TRAINER, "ckpt_path": "last.ckpt", "tuner_config": {}}
    config = ExperimentConfig.from_document(document, None)
    trainer, module, data = config.setup_target()
    module.predict_step = lambda batch, batch_idx: 0
    data.predict_dataloader = data.train_dataloader
    config.run(trainer, module, data, "predict")
    assert all(torch.equal(weights[name], value) for name, value in module.state_dict().items())


def test_the_command_goes_on_untuned(train, capsys):
    """`autotune fit --ckpt-path FILE`, with an experiment and with a LightningCLI project."""
    Path("autotune.toml").write_text('[trainer_config]\nlogger = false\nmax_epochs = 2\naccelerator = "cpu"\n')
    assert main(["fit", "train_resumed:Net", "train_resumed:Data", "--ckpt-path", "last.ckpt"]) == 0
    model, data = ({"class_path": f"train_resumed.{name}"} for name in ("Net", "Data"))
    Path("project.yaml").write_text(
        yaml.safe_dump({"trainer": {**TRAINER, "max_epochs": 2}, "model": model, "data": data})
    )
    assert main(["fit", "--lightning-config", "project.yaml", "--ckpt-path", "last.ckpt"]) == 0
    assert train.USED == [(32, 1e-3)] * 2
    assert capsys.readouterr().out.count("nothing tuned: the training goes on from last.ckpt") == 2
