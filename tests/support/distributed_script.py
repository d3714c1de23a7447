"""Tunes and fits in two processes on the CPU, for one scenario after the other; each writes what it found.

Arguments: strategy, scenarios.
"""

import atexit
import json
import os
import resource
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import torch
from models import RandomBlobs, RandomNet  # a neighbour: this file is run as a script
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lit_autotune import TunerConfig, TuningStep, hookimpl, tune
from lit_autotune.planning import preview as comparison
from lit_autotune.testing import registered

MIB = 2**20
MAX_FITTING = 23

# A process that ends right after a collective may be aborted ("terminate called without an active exception"):
# gloo's threads still drop Python tensors while the interpreter shuts down. With plain torch 3 of 120 did. Here, and
# not at the end of main(), because the processes that Lightning's fit spawns import this file and never get there.
atexit.register(time.sleep, 0.5)


class Watched(RandomNet):
    """Talks to other ranks wherever it can, and can fail on one of them."""

    def __init__(self, scenario):
        super().__init__()
        self.scenario = scenario
        self.network = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))

    def training_step(self, batch, batch_idx):
        size = len(batch[1])
        if self.trainer.global_rank == 1 and self.scenario == "error":
            raise ValueError("only rank 1 fails")
        if self.trainer.global_rank == 1 and self.scenario == "memory" and size > MAX_FITTING:
            torch.ones(1024 * MIB)  # beyond the limit that is set below, on this rank only
        gathered = self.all_gather(batch[0])
        assert gathered.shape[0] == self.trainer.world_size == 2
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        self.log("synced", loss.detach(), sync_dist=True)
        self.accuracy(self.network(batch[0]), batch[1])
        self.log("accuracy", self.accuracy, on_epoch=True, on_step=True)
        return loss


class Guarded(RandomBlobs):
    """Counts its hooks; only rank 0 may prepare, before anyone sets up."""

    scenario = ""

    def train_dataloader(self):
        generator = getattr(self, "generator", None)
        return DataLoader(self.train, self.hparams.batch_size, shuffle=True, generator=generator)

    def prepare_data(self):
        with open(f"prepared {self.scenario}", "a") as file:
            file.write("x")

    def setup(self, stage):
        assert os.path.exists(f"prepared {self.scenario}")
        if self.trainer.global_rank == 1 and self.scenario == "memory":
            used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_DATA, (used + 600 * MIB, resource.RLIM_INFINITY))
        super().setup(stage)

    def val_dataloader(self):
        return []


def agree(context, plan):
    """A plugin's step: each rank measures something else, and they agree."""
    ranks = context.all_gather(context.trainer.global_rank)
    losses = context.train(3, {context.find_batch_size(): 8}).losses
    trial = context.trial(8)
    return {"ranks": ranks, "losses": losses, "together": context.ranks_fail_together, "outcome": trial.outcome}


class Mine:
    """A plugin with that step."""

    @hookimpl
    def lit_autotune_steps(self):
        return [TuningStep("agree", agree, "agree", order=150)]


def run(strategy, scenario, rate):
    """Tune and fit; the Trainer's rank, and what was found.

    Args:
        strategy: The Trainer's.
        scenario: What is tuned how.
        rate: The learning rate to train with untuned.
    """
    pl.seed_everything(1, verbose=False)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=5,
    )
    module, datamodule = Watched(scenario), Guarded()
    datamodule.scenario = scenario
    if strategy == "ddp_spawn":  # which pickles everything, and cannot send a torch.Generator
        del datamodule.generator
    config = TunerConfig(
        use_batch_size_tuning=True,
        use_learning_rate_tuning=True,
        batch_size_mode="binsearch",
        batch_size_margin=0,
        batch_size_max=40,
        lr_num_training=30,
        lr_num_repeats=2 if scenario == "races" else 1,
        lr_verify=scenario == "races",
        batch_size_target="largest",
        compare=scenario == "compared",
        cache=scenario == "cached" and Path("results"),
        steps=["agree"] if scenario == "step" else [],
        verbose=False,
    )
    found = {}
    if scenario == "untuned":
        datamodule.hparams.batch_size, module.hparams.learning_rate = 40, rate
        config = config.model_copy(update={"use_batch_size_tuning": False, "use_learning_rate_tuning": False})
    try:
        with registered(Mine()) as registry:
            report = tune(trainer, module, datamodule, config, registry=registry)
        found["steps"] = report.steps
        if report.batch_size and report.learning_rate:
            found["outcomes"] = {trial.batch_size: trial.outcome for trial in report.batch_size.trials}
            found["losses"] = report.learning_rate.curve.losses
            compared = report.comparison.values if report.comparison else ()
            found["compared"] = [(values.batch_size, values.learning_rate, values.loss) for values in compared]
            found["reused"] = report.reused is not None
            found["races"] = [heat.score for heat in report.learning_rate.races]
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    found |= {"batch_size": datamodule.hparams.batch_size, "learning_rate": module.hparams.learning_rate}
    weights = module.network[0].weight.detach().clone()
    if "error" not in found:
        trainer.fit(module, datamodule)
        found["trained"] = not torch.equal(weights, module.network[0].weight)
        found["weights"] = module.network[0].weight.tolist()
    return trainer.global_rank, found


def main():
    """Go through the scenarios; a memory limit stays, so that one with a limit is the last."""
    strategy, *scenarios = sys.argv[1:]
    comparison.SECONDS = 60.0  # a loaded machine must not make a difference
    torch.set_num_threads(1)
    found = {}
    for scenario in scenarios:
        rate = found["plain"]["learning_rate"] if scenario == "untuned" else None
        rank, found[scenario] = run(strategy, scenario.removesuffix(" again"), rate)
        with open(f"found_{rank}.json", "w") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main()
