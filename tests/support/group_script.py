"""Tunes in a group of two processes on the CPU. Arguments: strategy, then scenarios, one after the other."""

import atexit
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import lightning.pytorch as pl
import psutil
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import TunerConfig, tune

MIB = 2**20
MAX_FITTING = 23
NODES = int(os.environ.get("NODES", "1"))

atexit.register(time.sleep, 0.5)  # see distributed_script.py


class Sharded(pl.LightningModule):
    """Made in shards, where there is a mesh; fails on rank 1 as the scenario says."""

    def __init__(self, scenario="plain", learning_rate=1e-3):
        super().__init__()
        self.scenario, self.learning_rate = scenario, learning_rate
        self.network = None

    def configure_model(self):
        if self.network is not None:
            return
        meta = self.scenario == "meta"
        with torch.device("meta" if meta else "cpu"):
            self.network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
        mesh = self.device_mesh
        if mesh is None:
            return
        if mesh["data_parallel"].size() > 1:
            from torch.distributed.fsdp import fully_shard

            for layer in self.network:
                if isinstance(layer, nn.Linear):
                    fully_shard(layer, mesh=mesh["data_parallel"])
            fully_shard(self.network, mesh=mesh["data_parallel"])
        else:
            from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

            parallelize_module(self.network, mesh["tensor_parallel"], {"0": ColwiseParallel(), "2": RowwiseParallel()})

    def training_step(self, batch, batch_idx):
        size = len(batch[1])
        if self.trainer.global_rank == 1 and size > MAX_FITTING:
            if self.scenario == "memory":
                torch.ones(1024 * MIB)  # beyond the limit that is set below, on this rank only
            if self.scenario == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.scenario == "parent killed":
                os.kill(os.getppid(), signal.SIGKILL)
            if self.scenario == "still":
                time.sleep(1000)
            if self.scenario == "error":
                raise ValueError("only rank 1 fails")
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        self.log("synced", loss.detach(), sync_dist=True)
        return loss

    def validation_step(self, batch, batch_idx):
        return F.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.learning_rate)


class Data(pl.LightningDataModule):
    """Points that two lines part, with a limit of memory on rank 1 where it is wanted."""

    def __init__(self, batch_size=8, limited=False):
        super().__init__()
        self.batch_size, self.limited = batch_size, limited

    def setup(self, stage):
        generator = torch.Generator().manual_seed(3)
        x = torch.randn(256, 8, generator=generator)
        self.sets = [TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())] * 2
        if self.limited and self.trainer.global_rank == 1:
            used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_DATA, (used + 600 * MIB, resource.RLIM_INFINITY))

    def train_dataloader(self):
        return DataLoader(self.sets[0], self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.sets[1], self.batch_size)


def make_strategy(name):
    """``fsdp2``, ``tp`` or one of Lightning's names."""
    if name == "fsdp2":
        return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    return ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=2) if name == "tp" else name


def leftovers():
    """What a group may have left: children, files of shared memory, open ports."""
    this = psutil.Process()
    ranks = {child.pid for child in this.children() if "group_script" in " ".join(child.cmdline())}
    started = [child for child in this.children(recursive=True) if child.pid not in ranks]
    below = {child.pid for rank in ranks for child in psutil.Process(rank).children(recursive=True)}
    return {
        "processes": [" ".join(child.cmdline())[:80] for child in started if child.pid not in below],
        "shared": sorted(path.name for path in Path("/dev/shm").iterdir() if path.name.startswith("torch_")),
        "ports": sorted(one.laddr.port for one in this.net_connections() if one.status == "LISTEN"),
    }


def tuned(trainer, scenario, isolation="group"):
    """Tune for a scenario; what was found."""
    module, datamodule = Sharded(scenario), Data(limited=scenario == "memory")
    config = TunerConfig(
        use_batch_size_tuning=True,
        use_learning_rate_tuning=scenario in ("plain", "meta"),
        batch_size_mode="binsearch",
        batch_size_margin=0,
        batch_size_max=MAX_FITTING + 1,
        batch_size_target="largest",
        lr_num_training=30,
        lr_verify=scenario == "plain",
        compare=scenario == "plain",
        trial_timeout=6 if scenario in ("still", "parent killed") else 60,
        trial_isolation=isolation,
        verbose=os.environ.get("VERBOSE") == "1",
    )
    start = time.perf_counter()
    found = {}
    try:
        report = tune(trainer, module, datamodule, config)
        found["outcomes"] = {trial.batch_size: trial.outcome for trial in report.batch_size.trials}
        found["peaks"] = {trial.batch_size: trial.peak_bytes for trial in report.batch_size.trials}
        found["seconds_of_trials"] = [trial.seconds for trial in report.batch_size.trials]
        found |= {"plan": str(report.plan), "budget": report.batch_size.budget}
        if report.learning_rate:
            found["losses"] = report.learning_rate.curve.losses
            found["races"] = [heat.score for heat in report.learning_rate.races]
        compared = report.comparison.values if report.comparison else ()
        found["compared"] = [(values.batch_size, values.learning_rate, values.loss) for values in compared]
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
        if os.environ.get("VERBOSE") == "1":
            traceback.print_exc()
    found |= {"seconds": time.perf_counter() - start, "left": leftovers()}
    found |= {"batch_size": datamodule.batch_size, "learning_rate": module.learning_rate}
    found["untouched"] = module.network is None
    return found, module, datamodule


def make_trainer(strategy, **more):
    """A quiet Trainer for a few steps on two CPUs."""
    return pl.Trainer(
        accelerator="cpu",
        strategy=strategy,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=20,
        **more,
    )


def main():
    """Tune for each scenario, and fit with what was found for the first."""
    strategy, *scenarios = sys.argv[1:]
    torch.set_num_threads(1)
    pl.seed_everything(1, verbose=False)
    trainer = make_trainer(make_strategy(strategy), devices=2 // NODES, num_nodes=NODES)
    results = {scenario: tuned(trainer, scenario) for scenario in scenarios}
    found = {scenario: one[0] for scenario, one in results.items()}
    first = scenarios[0]
    if "error" in found[first]:
        sys.exit(found[first]["error"])
    trainer.fit(results[first][1], results[first][2])
    parameter = next(results[first][1].parameters())
    found["fit"] = {"steps": trainer.global_step, "parameter": type(parameter).__name__}
    Path(f"found_{trainer.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
