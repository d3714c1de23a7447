"""Tunes and trains the tasks. Each measurement is one JSON line, so that an interrupted run goes on where it was."""

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.tuner import Tuner as LightningTuner

from benchmarks import common
from benchmarks.outcome.suite import find
from benchmarks.outcome.tasks import Task
from lit_autotune import TunerConfig, tune
from lit_autotune.copies.attributes import LEARNING_RATE_NAMES, find_batch_size, find_setting, write

FILE = Path(__file__).parent / "results.jsonl"
SEEDS = range(3)

BOTH = {"use_batch_size_tuning": True, "use_learning_rate_tuning": True}
RATE = {"use_learning_rate_tuning": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": BOTH,
    "rate alone": RATE,
    "largest": {**BOTH, "batch_size_target": "largest"},
    "fastest": {**BOTH, "batch_size_target": "fastest"},
    "not compared": {**BOTH, "compare": False},
    "fastai-like": {**RATE, "lr_suggester": "valley", "lr_verify": False, "lr_auto_extend": False, "compare": False},
    "Lightning": {},
}
"""What tunes, by the name that the tables give it; with what settings, if it is ours."""

FOR_BAD = ("default", "rate alone", "Lightning")
"""What is tried on bad defaults, too."""

Key = common.Key
"""``("tune", task, seed, batch size, rate, variant)`` or ``("train", task, seed, batch size, rate, length)``."""


def measure(wanted: Iterable[Key]) -> dict[Key, Any]:
    """Measure what is not in the file yet, and return all."""
    return common.measure(FILE, _measure, wanted, begin=_quiet)


def defaults(task: Task) -> Iterator[tuple[bool, int, float]]:
    """The values that a task is tuned from: whether they are sensible, batch size, rate."""
    yield True, task.batch_size, task.learning_rate
    for size, rate in task.bad:
        yield False, size, rate


def untouched(tasks: Iterable[Task]) -> Iterator[Key]:
    """The trainings with the values before."""
    for task in tasks:
        for _, size, rate in defaults(task):
            yield from (("train", task.name, seed, size, rate, 1.0) for seed in SEEDS)


def tunings(tasks: Iterable[Task], variants: Iterable[str], seeds: Iterable[int] = SEEDS) -> Iterator[Key]:
    """The tunings of some tasks."""
    variants = tuple(variants)
    for task in tasks:
        for is_sensible, size, rate in defaults(task):
            for variant in variants:
                if is_sensible or variant in FOR_BAD:
                    yield from (("tune", task.name, seed, size, rate, variant) for seed in seeds)


def trainings(tasks: Iterable[Task], done: dict[Key, Any]) -> Iterator[Key]:
    """The trainings with what the tunings of some tasks found."""
    for untuned, _, found in found_for(tasks, done):
        if found["error"] is None:
            yield "train", *untuned[:2], found["batch_size"], found["learning_rate"], 1.0


def same_time(tasks: Iterable[Task], done: dict[Key, Any]) -> Iterator[Key]:
    """The trainings that are made as long as the untouched one, by the clock."""
    for untuned, variant, found in found_for(tasks, done):
        key = same_time_key(done, untuned, found) if variant in FOR_BAD and found["error"] is None else None
        if key is not None:
            yield key


def found_for(tasks: Iterable[Task], done: dict[Key, Any]) -> Iterator[tuple[tuple[Any, ...], str, dict[str, Any]]]:
    """What was tuned, ``(task, seed, batch size, rate)``, by which variant, and what it found."""
    names = {task.name for task in tasks}
    for (kind, name, seed, size, rate, last), found in list(done.items()):
        if kind == "tune" and name in names:
            yield (name, seed, size, rate), last, found


def same_time_key(done: dict[Key, Any], untouched: tuple[Any, ...], found: dict[str, Any]) -> Key | None:
    """The training with what was found that takes the time of the untouched one; ``None`` if there is none yet."""
    name, seed, *_ = untouched
    tuned = ("train", name, seed, found["batch_size"], found["learning_rate"], 1.0)
    before = done.get(("train", *untouched, 1.0))
    if before is None or tuned not in done:
        return None
    length = round(before["seconds"] / max(done[tuned]["seconds"], 1e-3), 1)
    # Times of the same training differ by some per cent from run to run.
    is_same = 0.85 <= length <= 1.15 or tuned == ("train", *untouched, 1.0)
    return (*tuned[:-1], 1.0 if is_same else min(length, 8.0))


def _quiet() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _measure(key: Key) -> tuple[Key, Any]:
    kind, name, seed, size, rate, last = key
    task = find(name)
    return key, (_tuned if kind == "tune" else _trained)(task, seed, size, rate, last)


@cache
def _limit(task_name: str) -> str:
    return "max_steps" if find(task_name).trainer.get("max_steps", -1) > 0 else "max_epochs"


def objects(task: Task, seed: int, size: int, rate: float, length: float = 1.0) -> tuple[Any, Any, Any]:
    """Trainer, module and datamodule, made from the seed."""
    seed_everything(seed, verbose=False)
    limit = _limit(task.name)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{**task.trainer, limit: max(1, round(task.trainer[limit] * length))},
    )
    return trainer, task.module(rate), task.datamodule(size)


def _trained(task: Task, seed: int, size: int, rate: float, length: float) -> dict[str, Any]:
    trainer, module, data = objects(task, seed, size, rate, length)
    start = time.perf_counter()
    trainer.fit(module, datamodule=data)
    seconds, steps = time.perf_counter() - start, trainer.global_step
    (metrics,) = trainer.validate(module, datamodule=data, verbose=False)
    score = metrics.get(task.score) if task.score else None
    return {"loss": metrics["val_loss"], "score": score, "seconds": seconds, "steps": steps}


def _tuned(task: Task, seed: int, size: int, rate: float, variant: str) -> dict[str, Any]:
    trainer, module, data = objects(task, seed, size, rate)
    start = time.perf_counter()
    error = note = None
    try:
        if variant == "Lightning":
            _tune_with_lightning(trainer, module, data)
        else:
            config = TunerConfig(**VARIANTS[variant], verbose=False)
            report = tune(trainer, module, data, config, save_plot=False)
            note = report.comparison.verdict if report.comparison else None
    except Exception as problem:  # that a tool has no answer is a result, too
        error = f"{type(problem).__name__}: {problem}"
    return {
        "batch_size": find_batch_size({"module": module, "datamodule": data}, None).value,
        "learning_rate": find_setting({"module": module}, LEARNING_RATE_NAMES, None, "").value,
        "seconds": time.perf_counter() - start,
        "error": error,
        "note": note,
    }


def _tune_with_lightning(trainer: Any, module: Any, data: Any) -> None:
    tuner = LightningTuner(trainer)
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        tuner.scale_batch_size(module, datamodule=data)
        found = tuner.lr_find(module, datamodule=data)
    suggestion = found.suggestion() if found else None
    if suggestion is not None:
        setting = find_setting({"module": module}, LEARNING_RATE_NAMES, None, "")
        for place in setting.places:
            write({"module": module}, place, suggestion)
