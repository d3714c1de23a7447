"""What runs in a child process under a real memory limit: one search, or one size."""

import gc
import logging
import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from nets import Data, Module, trainer
from searches import ultralytics

from lit_autotune import TunerConfig, tune
from lit_autotune.memory.budget import Budget, find_budget
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.memory.peak import measured
from lit_autotune.memory.process import read_status
from lit_autotune.memory.release import release_memory

CPU = torch.device("cpu")
MARGIN = 0.1
STEPS = 3


def limited(kind: str, room: int, onednn: bool) -> tuple[Module, Data, Budget]:
    """A model, its data, and the budget, once this process can get only so many MiB more than it has."""
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = onednn
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    module, data = Module(kind), Data(kind)
    trainer(max_steps=1).fit(Module(kind), Data(kind, samples=4))  # libraries load themselves and start threads
    release_memory()
    resource.setrlimit(resource.RLIMIT_DATA, (read_status()["VmData"] + room * 2**20, resource.RLIM_INFINITY))
    Module.steps = 0
    return module, data, find_budget(CPU, "auto", MARGIN)


def run_size(case: tuple[str, int, bool], size: int) -> dict[str, bool]:
    """Whether a size runs under the limit, and whether it stays within the budget."""
    module, data, budget = limited(*case)
    with measured(CPU) as peak:
        error = fit(module, data, size, STEPS)
        return {"fits": not error, "within": not error and peak() <= budget.usable}


def run_search(case: tuple[str, int, bool], name: str) -> dict[str, Any]:
    """A search, its counts, and whether what it found then fits in the same process."""
    module, data, _ = limited(*case)
    start = time.perf_counter()
    try:
        size, trials, failures = SEARCHES[name](module, data, case[1] * 2**20)
        error = ""
    except Exception as caught:  # of another tool: that it gives up is a result
        size, trials, failures, error = 0, 0, 0, f"{type(caught).__name__}: {caught}".splitlines()[0]
    seconds, steps = time.perf_counter() - start, Module.steps
    release_memory()
    return {
        "size": size, "trials": trials, "failures": failures, "steps": steps, "seconds": seconds,
        "error": error, "fit": fit(module, data, size, 5) if size else "",
    }  # fmt: skip


def fit(module: Module, data: Data, size: int, steps: int) -> str:
    """Train some steps and validate; returns the error if memory ran out."""
    data.batch_size = size
    try:
        trainer(max_steps=steps, max_epochs=-1, val_check_interval=1).fit(module, datamodule=data)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return str(error).splitlines()[0]
    return ""


def ours(mode: str) -> Callable[..., tuple[int, int, int]]:
    def search(module: Module, data: Data, room: int) -> tuple[int, int, int]:
        config = TunerConfig(use_batch_size_tuning=True, batch_size_mode=mode, memory_margin=MARGIN, verbose=False)
        result = tune(trainer(), module, data, config, save_plot=False).batch_size
        Module.steps = sum(len(trial.step_seconds) for trial in result.trials)  # those in copies count nothing here
        return result.chosen, len(result.trials), sum(trial.outcome == "out_of_memory" for trial in result.trials)

    return search


def lightning(mode: str) -> Callable[..., tuple[int, int, int]]:
    def search(module: Module, data: Data, room: int) -> tuple[int, int, int]:
        from lightning.pytorch.tuner import Tuner, batch_size_scaling

        trials, failures = [], []
        run, is_oom = batch_size_scaling._try_loop_run, batch_size_scaling.is_oom_error
        batch_size_scaling._try_loop_run = lambda *arguments: (trials.append(0), run(*arguments))
        batch_size_scaling.is_oom_error = lambda error: (failures.append(0), is_oom(error))[1]
        size = Tuner(trainer()).scale_batch_size(module, datamodule=data, mode=mode)
        return size, len(trials), len(failures)

    return search


def accelerate(module: Module, data: Data, room: int) -> tuple[int, int, int]:
    """The inner training loop of its documentation, with as many steps as the other tools' trials."""
    from accelerate import Accelerator
    from accelerate.utils import find_executable_batch_size

    accelerator = Accelerator(cpu=True)
    sizes = []

    @find_executable_batch_size(starting_batch_size=128)
    def inner_training_loop(batch_size):
        sizes.append(batch_size)
        accelerator.free_memory()
        data.batch_size = batch_size
        prepared, optimizer, loader = accelerator.prepare(
            module, module.configure_optimizers(), data.train_dataloader()
        )
        for _, batch in zip(range(STEPS), loader, strict=False):
            optimizer.zero_grad()
            accelerator.backward(prepared.training_step(batch, 0))
            optimizer.step()
        return batch_size

    return inner_training_loop(), len(sizes), len(sizes) - 1


def formula(module: Module, data: Data, room: int) -> tuple[int, int, int]:
    """Ultralytics: five sizes, one step each; what it answers is not run."""
    trials, failures = [], []
    optimizer = module.configure_optimizers()
    base = read_status()["VmRSS"]

    def probe(size: int) -> int:
        data.batch_size = size
        trials.append(size)
        gc.collect()
        with measured(CPU) as peak:
            try:
                optimizer.zero_grad()
                module.training_step(next(iter(data.train_dataloader())), 0).backward()
                optimizer.step()
            except RuntimeError as error:
                failures.append(size)
                raise MemoryError from error
            return max(peak() - base, 1)

    return ultralytics(probe, room), len(trials), len(failures)


SEARCHES: dict[str, Callable[..., tuple[int, int, int]]] = {
    "lit-autotune predictive": ours("predictive"),
    "lit-autotune binsearch": ours("binsearch"),
    "lit-autotune power": ours("power"),
    "Lightning power": lightning("power"),
    "Lightning binsearch": lightning("binsearch"),
    "Accelerate": accelerate,
    "Ultralytics' formula": formula,
}
