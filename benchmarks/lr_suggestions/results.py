"""The measurements, one JSON line each, so that an interrupted run goes on where it was."""

import math
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common

FILE = Path(__file__).parent / "results.jsonl"

Key = common.Key
"""Kind, task, and what else makes it one measurement: ``("truth", task, rate, seed)``."""


def measure(wanted: Iterable[Key]) -> dict[Key, Any]:
    """Measure what is not in the file yet, and return all."""
    return common.measure(FILE, _measure, wanted, at_a_time=20)


def ground_and_sweeps() -> Iterator[Key]:
    """Training on the grid, range tests, and those of the other tools."""
    from benchmarks.lr_suggestions import peers, suite, truth

    for task in suite.ALL:
        for seed in truth.SEEDS:
            for rate in (0.0, *truth.GRID):
                yield "truth", task.name, rate, seed
        for window in truth.RANGES:
            for seed in truth.SWEEP_SEEDS:
                yield "sweep", task.name, window, seed
                for peer in peers.run_on(task):
                    yield "peer", task.name, window, seed, peer


def _measure(key: Key) -> tuple[Key, Any]:
    import torch

    from benchmarks.lr_suggestions import peers, suite, truth
    from lit_autotune.planning.races import Race

    torch.set_num_threads(1)
    kind, name, *rest = key
    task = next(task for task in suite.ALL if task.name == name)
    if kind == "truth":
        return key, truth.final_loss(task, *rest)
    window, seed, *peer = rest
    low, high = truth.RANGES[window]
    if kind == "sweep":
        return key, truth.sweep(task, low, high, seed)
    if kind == "race":
        race = Race(partial(truth.preview, task, seed), peer[0], truth.RACE_STEPS / truth.STEPS)
        return key, {"value": race.verdict, "steps": sum(len(run.losses) for run in race.runs.values())}
    try:
        answer = peers.PEERS[peer[0]](task, low, high, seed)
    except Exception as error:  # a tool's failure is a result, too
        return key, {"value": None, "error": f"{type(error).__name__}: {error}"}
    finite = answer.value is not None and math.isfinite(answer.value)
    return key, {"value": answer.value if finite else None, "steps": answer.steps}
