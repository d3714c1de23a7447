"""Compare batch-size searches in simulated memory worlds: ``python benchmarks/batch_size/simulate.py``.

Rewrites the table between the markers of ``docs/batch_size_search.md``. With ``--development`` the worlds are those
that the strategies were made on, and nothing is written.
"""

import random
import statistics
import sys
from collections.abc import Callable

from page import write_between
from searches import accelerate, gallop, lightning_binsearch, lightning_power, ultralytics
from worlds import World, draw

from lit_autotune import search_batch_size
from lit_autotune.registry import Registry

WORLDS = 1000
MARGIN = 0.1


class Machine:
    """Runs trials in a world and keeps count."""

    def __init__(self, world: World, seed: int):
        self.world, self.random = world, random.Random(seed)
        self.trials = self.failures = 0
        self.cost = 0.0

    def probe(self, size: int) -> int:
        """One trial; its cost is in steps at the true maximum."""
        self.trials += 1
        peak = self.world.peak(size, self.random)
        if peak > self.world.capacity:
            self.failures += 1
            raise MemoryError
        self.cost += size
        return peak


def ours(name: str, guided: bool) -> Callable[[Machine], int]:
    """One of our strategies, with or without a first guess."""
    strategy = Registry.load().strategy(name)

    def run(machine: Machine) -> int:
        budget = int(machine.world.capacity * (1 - MARGIN))
        guess = machine.world.estimate if guided else None
        return search_batch_size(machine.probe, strategy=strategy, budget=budget, first_guess=guess)[0]

    return run


SEARCHES: dict[str, tuple[float, Callable[[Machine], int]]] = {
    "lit-autotune predictive": (1 - MARGIN, ours("predictive", False)),
    "lit-autotune predictive, with an estimate": (1 - MARGIN, ours("predictive", True)),
    "lit-autotune binsearch": (1 - MARGIN, ours("binsearch", False)),
    "lit-autotune power": (1 - MARGIN, ours("power", False)),
    "Lightning power": (1.0, lambda machine: lightning_power(machine.probe)),
    "Lightning binsearch": (1.0, lambda machine: lightning_binsearch(machine.probe)),
    "Accelerate": (1.0, lambda machine: accelerate(machine.probe)),
    "Ultralytics": (0.6, lambda machine: ultralytics(machine.probe, machine.world.capacity)),
    "double and bisect": (1.0, lambda machine: gallop(machine.probe)),
}


def measure(noisy: bool, development: bool) -> list[str]:
    """One row of the table for each search."""
    worlds = [draw(seed, noisy, development) for seed in range(WORLDS)]
    rows = []
    for name, (share, search) in SEARCHES.items():
        trials, failures, found, beyond, broken = [], [], [], 0, 0
        for seed, world in enumerate(worlds):
            machine = Machine(world, seed)
            possible = world.largest(share * world.capacity)
            if possible < 1:
                continue
            try:
                size = search(machine)
            except Exception:
                broken += 1
                continue
            trials.append(machine.trials)
            failures.append(machine.failures)
            found.append(size / possible)
            beyond += world.peak(size) > world.capacity
        p95 = sorted(trials)[int(0.95 * len(trials))]
        p5 = sorted(found)[int(0.05 * len(found))]
        rows.append(
            f"| {name} | {statistics.median(trials):.0f} | {p95} | {statistics.mean(failures):.2f} "
            f"| {statistics.median(found):.3f} | {p5:.2f} | {beyond + broken} |"
        )
    return rows


def main() -> None:
    """Simulate and write the table."""
    development = "--development" in sys.argv
    head = ["| search | trials, median | 95 % | out of memory, mean | found / possible, median | 5 % | does not fit |"]
    lines = []
    for noisy in (False, True):
        title = f"**{'Noisy: jumps, 1 % noise' if noisy else 'Clean'}**"
        lines += [title, "", *head, "|---|" + "---:|" * 6, *measure(noisy, development), ""]
    print("\n".join(lines))
    if not development:
        write_between("simulation", lines[:-1])


if __name__ == "__main__":
    main()
