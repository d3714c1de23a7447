"""What a tuning found is in the run that the training then writes to: with the real loggers."""

import csv
import json

import lightning.pytorch as pl
import lit_autotune_loggers
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import TunerConfig, TuningStep, hookimpl, tune
from lit_autotune.registry import Registry
from lit_autotune.testing import plugin_checks


class Net(pl.LightningModule):
    """The plainest module that logs."""

    def __init__(self):
        super().__init__()
        self.lr = 1e-3
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).square().mean()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Data(pl.LightningDataModule):
    """The plainest datamodule."""

    def __init__(self):
        super().__init__()
        self.batch_size = 4

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(64, 4)), batch_size=self.batch_size)


class Step:
    """A plugin with a step that brings a table, a figure and a value."""

    @hookimpl
    def lit_autotune_steps(self):
        def run(context, plan):
            context.table("Seen", ["a | b", "n"], [["x", 1.5], [None, 2]])
            figure = Figure()
            figure.add_subplot().plot([1, 2])
            context.figure("A line", figure)
            context.apply(context.setting("trainer.gradient_clip_val"), 0.5)

        return [TuningStep("mine", run, "")]


def tuned(*loggers, save_plot=True, **fields):
    """Trainer, module and data after a tuning with the plugin."""
    registry = Registry.load()
    registry.register(lit_autotune_loggers, name="loggers")
    registry.register(Step(), name="step")
    both = {"use_batch_size_tuning": True, "use_learning_rate_tuning": True, "batch_size_max": 8, "steps": ["mine"]}
    quick = {
        "batch_size_target": "largest",
        "lr_num_training": 20,
        "lr_verify": False,
        "compare": False,
        "verbose": False,
    }
    quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=list(loggers), log_every_n_steps=1, **quiet)
    module, data = Net(), Data()
    config = TunerConfig(**{**both, **quick, **fields})
    report = tune(trainer, module, data, config, registry=registry, save_plot=save_plot)
    return trainer, module, data, report


def test_tensorboard_and_csv(tmp_path):
    """Values, table and plots, each in the one run of the training."""
    board, table = TensorBoardLogger(tmp_path / "board"), CSVLogger(tmp_path / "csv")
    trainer, module, data, _ = tuned(board, table)
    trainer.fit(module, datamodule=data)
    assert [folder.name for folder in (tmp_path / "board/lightning_logs").iterdir()] == ["version_0"]
    events = EventAccumulator(board.log_dir).Reload()
    assert events.Scalars("autotune/batch_size")[0].value == data.batch_size == 8
    assert events.Scalars("train_loss")
    assert {"autotune/batch_size_trials", "autotune/range_test", "autotune/mine_1"} <= set(events.Tags()["images"])
    assert not set(events.Tags()["images"]) & set(events.Tags()["scalars"])
    text = events.Tensors("autotune/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| datamodule.batch_size | 4 | 8 |" in text
    assert "| a \\| b | n |" in text

    assert [folder.name for folder in (tmp_path / "csv/lightning_logs").iterdir()] == ["version_0"]
    with open(tmp_path / "csv/lightning_logs/version_0/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert (float(rows[0]["autotune/batch_size"]), float(rows[0]["autotune/gradient_clip_val"])) == (8, 0.5)
    assert float(rows[-1]["train_loss"]) >= 0
    folder = tmp_path / "csv/lightning_logs/version_0/autotune"
    names = {"report.json", "report.md", "range_test.png", "batch_size_trials.png", "mine_1.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert json.loads((folder / "report.json").read_text())["batch_size"]["chosen"] == 8


def test_without_saved_plots(tmp_path):
    """The range test is drawn anew; the figure of a step is there as SVG."""
    tuned(CSVLogger(tmp_path), save_plot=False)
    folder = tmp_path / "lightning_logs/version_0/autotune"
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.md", "range_test.png", "mine_1.svg"}


class Own(Logger):
    """A logger of another kind."""

    def __init__(self, error=None):
        super().__init__()
        self.metrics, self.error = {}, error

    name = version = "own"

    def log_metrics(self, metrics, step=None):
        if self.error:
            raise self.error
        self.metrics |= metrics

    def log_hyperparams(self, *arguments, **keywords):
        pass


def test_any_other_logger_gets_the_values():
    """And one that fails is a warning, and keeps none of the others from theirs."""
    own = Own()
    with pytest.warns(UserWarning, match=r"plugin 'this process:loggers' failed .* Own: OSError: disk full"):
        *_, report = tuned(Own(OSError("disk full")), own)
    assert own.metrics["autotune/batch_size"] == 8
    assert own.metrics["autotune/learning_rate"] == report.learning_rate.chosen


def test_nothing_is_made_where_nothing_was_tuned(tmp_path):
    """No run, no folder."""
    nothing = {"use_batch_size_tuning": False, "use_learning_rate_tuning": False, "steps": []}
    tuned(TensorBoardLogger(tmp_path / "board"), CSVLogger(tmp_path / "csv"), **nothing)
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_process_writes():
    """The others know what it knows."""
    own = Own()
    *_, report = tuned()
    other = type("Trainer", (), {"is_global_zero": False, "loggers": [own]})()
    lit_autotune_loggers.lit_autotune_finished(report, other)
    assert own.metrics == {}


@pytest.mark.parametrize("check", plugin_checks(), ids=lambda check: check.__name__)
def test_conformance(check):
    """The plugin keeps the contract of lit-autotune."""
    check(lit_autotune_loggers)
