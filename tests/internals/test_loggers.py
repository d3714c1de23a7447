"""What stands for a logger in trials: it writes nothing, and knows what modules ask for."""

import os
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger

from lit_autotune.internals.loggers import Nothing, silent_logger
from support.models import Blobs, Net, quiet_trainer
from support.tuning import tuned


@pytest.mark.parametrize(
    "use",
    [
        lambda run: os.path.join(run.dir, "best.pt"),
        lambda run: Path(run.dir) / "best.pt",
        lambda run: "run-" + run.id,
        lambda run: run.id + "-run",
        lambda run: f"{run.name} {run.step:d} {run.loss:.3f} {run.name:>8s}",
        lambda run: ["a", "b"][int(run.step)] + ["a"][run.step],
        lambda run: float(run.summary["loss"]) + run.step * 2 - 1,
        lambda run: [key for key, value in run.config.items()] + list(run) + [len(run)],
        lambda run: "loss" in run.summary or run.step > 3,
        lambda run: run.config.update({"a": 1}) or run.define_metric("loss").x,
        lambda run: setattr(run, "name", "a") or run.__setitem__("key", 1),
    ],
)
def test_what_is_done_with_an_experiment(tmp_path, use):
    """An experiment that is not there stands for a path, a text, a number, a mapping, a method."""
    use(Nothing(tmp_path))
    with Nothing(tmp_path).train() as run:
        use(run)
    assert Nothing(tmp_path)


def test_folders(tmp_path):
    """The folders of a silent logger are scratch ones that lie in each other, and have the subfolders of the real."""
    logger = CSVLogger("logs")
    (Path(logger.log_dir) / "Samples").mkdir(parents=True)
    (Path(logger.log_dir) / "Samples" / "old.png").touch()
    silent = silent_logger("lightning.pytorch", logger, tmp_path / "scratch")
    assert isinstance(silent, CSVLogger)
    assert Path(silent.log_dir).is_relative_to(tmp_path / "scratch")
    assert Path(silent.log_dir).is_relative_to(silent.save_dir)
    assert os.listdir(Path(silent.log_dir) / "Samples") == []
    assert (silent.name, silent.version) == (logger.name, logger.version)


def test_hooks_that_write_pictures():
    """What hooks write into the log's folder is gone after the tuning."""

    class Drawing(Net):
        def on_train_start(self):
            (Path(self.logger.log_dir) / "Samples" / "new.png").write_text("picture")

    logger = CSVLogger("logs")
    samples = Path(logger.log_dir) / "Samples"
    samples.mkdir(parents=True)
    tuned(Drawing(), Blobs(), quiet_trainer(logger=logger), use_batch_size_tuning=True, batch_size_max=32)
    assert os.listdir(samples) == []
    assert sorted(path.name for path in Path("logs").rglob("*") if path.is_file()) == []
