"""What trials and range tests cost beside the plain thing: ``python benchmarks/batch_size/overhead.py``.

A trial against a bare PyTorch loop of the same steps, and our LR range test against Lightning's ``lr_find``. Both sides
of a pair run one after the other in this process, the first of them changing from pair to pair; medians of the ratios.
"""

import logging
import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import chdir
from tempfile import TemporaryDirectory

import lightning.pytorch as pl
import torch
from nets import trainer
from page import write_between
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import TunerConfig, tune

PAIRS = 9
SIZE = 256
STEPS = 100


class Module(pl.LightningModule):
    """An MLP of some width."""

    def __init__(self, width: int):
        super().__init__()
        self.lr = 1e-3
        self.net = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Data(pl.LightningDataModule):
    """Random tensors."""

    def __init__(self):
        super().__init__()
        self.batch_size = SIZE
        self.data = TensorDataset(torch.randn(SIZE * STEPS, 64), torch.randint(10, (SIZE * STEPS,)))

    def train_dataloader(self):
        return DataLoader(self.data, self.batch_size)


def bare(module: Module, data: Data) -> None:
    """The loop that anyone would write."""
    optimizer = module.configure_optimizers()
    for inputs, labels in data.train_dataloader():
        optimizer.zero_grad()
        F.cross_entropy(module.net(inputs), labels).backward()
        optimizer.step()


def trial(module: Module, data: Data) -> None:
    """One batch-size trial of as many steps, without what comes before the search."""
    from lit_autotune.copies.attributes import find_batch_size
    from lit_autotune.copies.sandbox import Sandbox
    from lit_autotune.memory.release import quick_release
    from lit_autotune.trials.trial import TrialSpec, try_batch_size

    with quick_release():
        sandbox = Sandbox(trainer(), module, data)
        setting = find_batch_size(sandbox.originals, None)
        try_batch_size(sandbox, TrialSpec(setting, STEPS, "fit"), SIZE)


def range_test(module: Module, data: Data) -> None:
    """Ours, the whole tuning, less the races and the second sweep that the curve of random labels would bring."""
    config = TunerConfig(
        use_learning_rate_tuning=True,
        lr_early_stop_threshold=None,
        lr_verify=False,
        lr_auto_extend=False,
        verbose=False,
    )
    tune(trainer(), module, data, config, save_plot=False)


def lr_find(module: Module, data: Data) -> None:
    """Lightning's."""
    from lightning.pytorch.tuner import Tuner

    finder = Tuner(trainer()).lr_find(module, datamodule=data, early_stop_threshold=None)
    finder.suggestion()


Run = Callable[[Module, Data], None]


def ratio(first: Run, second: Run, width: int) -> tuple[float, float]:
    """Median of the ratios of their wall times, and the seconds of the second."""
    pairs = []
    for number in range(PAIRS + 1):
        seconds = {}
        for run in (first, second) if number % 2 else (second, first):
            module, data = Module(width), Data()
            start = time.perf_counter()
            run(module, data)
            seconds[run] = time.perf_counter() - start
        pairs.append((seconds[first] / seconds[second], seconds[second]))
    warm = pairs[1:]
    return statistics.median(share for share, _ in warm), statistics.median(cost for _, cost in warm)


def main() -> None:
    """Measure, and write the table."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    lines = [
        f"| {STEPS} steps with batches of {SIZE} | parameters | ratio | seconds of the other |",
        "|---|---:|---:|---:|",
    ]
    for width in (32, 2300):
        parameters = sum(p.numel() for p in Module(width).parameters())
        for what, run, other in (("trial / bare loop", trial, bare), ("range test / `lr_find`", range_test, lr_find)):
            share, seconds = ratio(run, other, width)
            lines.append(f"| {what} | {parameters:,} | {share:.2f} | {seconds:.2f} |")
            print(lines[-1], flush=True)
    write_between("overhead", lines)


if __name__ == "__main__":
    with TemporaryDirectory() as folder, chdir(folder):
        main()
