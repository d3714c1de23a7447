"""The real ``torch_lr_finder`` and the real ``lightning`` ``Tuner.lr_find``, run on a task."""

import contextlib
import io
import logging
import tempfile
import warnings
from dataclasses import dataclass

import lightning.pytorch as pl
import matplotlib as mpl
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.lr_suggestions import suite
from benchmarks.lr_suggestions.tasks import BATCH_SIZE, Task, load
from benchmarks.lr_suggestions.truth import SWEEP_STEPS

mpl.use("Agg")


@dataclass(frozen=True)
class Answer:
    """What a tool made of a task.

    Attributes:
        value: Its suggestion; ``None`` if it had none, or failed.
        steps: Training steps it took.
    """

    value: float | None
    steps: int


class Module(pl.LightningModule):
    """A task as a LightningModule."""

    def __init__(self, task: Task, seed: int):
        super().__init__()
        self.task, self.net, self.lr, self.steps = task, task.start(seed), 1e-3, 0

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Loss of a batch."""
        self.steps += 1
        return self.task.loss(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The task's optimizer."""
        return self.task.optimizer(self.parameters(), lr=self.lr)


def loader(task: Task, seed: int) -> DataLoader:
    """Shuffled batches of a task."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(*load(task.load)), BATCH_SIZE, shuffle=True, drop_last=True, generator=generator)


def lightning_tuner(task: Task, low: float, high: float, seed: int) -> Answer:
    """``Tuner.lr_find`` as it comes."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    module = Module(task, seed)
    silent = contextlib.redirect_stderr(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), silent:
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        finder = pl.tuner.Tuner(trainer).lr_find(
            module, loader(task, seed), min_lr=low, max_lr=high, num_training=SWEEP_STEPS
        )
        return Answer(finder.suggestion() if finder else None, module.steps)


def torch_lr_finder(task: Task, low: float, high: float, seed: int) -> Answer:
    """``LRFinder.range_test`` and the suggestion of its plot."""
    import matplotlib.pyplot as plt
    from torch_lr_finder import LRFinder

    net = task.start(seed)
    finder = LRFinder(net, task.optimizer(net.parameters(), lr=low), task.loss, device="cpu")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        finder.range_test(loader(task, seed), end_lr=high, num_iter=SWEEP_STEPS)
        figure, axes = plt.subplots()
        try:
            plotted = finder.plot(ax=axes, suggest_lr=True)
        finally:
            plt.close(figure)
    value = plotted[1] if isinstance(plotted, tuple) else None
    return Answer(None if value is None else float(value), len(finder.history["loss"]))


PEERS = {"Lightning 2.6 `Tuner.lr_find`": lightning_tuner, "torch-lr-finder": torch_lr_finder}


def run_on(task: Task) -> tuple[str, ...]:
    """Names of the tools that are run on a task: of all tasks the held-out ones, where it counts."""
    return tuple(PEERS) if task in suite.HELD_OUT else ()
