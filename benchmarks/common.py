"""What several benchmarks share: measurements as JSON lines, so that an interrupted run goes on, and intervals."""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PROCESSES = 2
RESAMPLES = 2000

Key = tuple[Any, ...]
"""What makes a measurement one of a kind."""


def read(file: Path) -> dict[Key, Any]:
    """All measurements so far."""
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return {tuple(key): value for key, value in map(_parse, lines) if key}


def _parse(line: str) -> tuple[list[Any], Any]:
    try:
        return tuple(json.loads(line))
    except ValueError:  # the line that was being written when the run was interrupted
        return [], None


def measure(
    file: Path,
    one: Callable[[Key], tuple[Key, Any]],
    wanted: Iterable[Key],
    at_a_time: int = 1,
    begin: Callable[[], None] | None = None,
) -> dict[Key, Any]:
    """Measure what is not in the file yet, and return all.

    Args:
        file: Where measurements are kept, a line each.
        one: Makes a measurement, in a process of its own; returns its key, too.
        wanted: The keys.
        at_a_time: Measurements that a process is given at once.
        begin: Called in each process first.
    """
    done = read(file)
    missing = [key for key in dict.fromkeys(wanted) if key not in done]
    start = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES, begin) as pool, file.open("a", encoding="utf-8") as lines:
        for count, (key, value) in enumerate(pool.imap_unordered(one, missing, chunksize=at_a_time), 1):
            done[key] = value
            lines.write(json.dumps([key, value]) + "\n")
            lines.flush()
            if count % max(10, 5 * at_a_time) == 0 or count == len(missing):
                print(f"{count} of {len(missing)} measurements, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return done


def interval(runs: Sequence[Any], number: Callable[[Any], float]) -> tuple[float, float, float]:
    """Mean of a number and its 95 % bootstrap interval; whole tasks are drawn, because runs of one task are alike.

    Args:
        runs: Records with a ``task``.
        number: Reads the number off a run.
    """
    tasks = sorted({run.task for run in runs})
    means = np.array([np.mean([number(run) for run in runs if run.task == task]) for task in tasks])
    drawn = np.random.default_rng(0).choice(means, (RESAMPLES, len(means))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(means.mean()), float(low), float(high)
