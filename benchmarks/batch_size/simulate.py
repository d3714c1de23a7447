"""Compare batch-size searches in simulated memory worlds: ``python benchmarks/batch_size/simulate.py``.

Rewrites table and plot of ``docs/batch_size_search.md``, in some seconds. With ``--development`` the worlds are those
that the strategies were made on, and nothing is written.
"""

import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from page import DOCUMENT, frame, write_between
from searches import accelerate, gallop, lightning_binsearch, lightning_power, ultralytics
from worlds import KINDS, Kind, World, draw

from lit_autotune import AutotuneError, search_batch_size
from lit_autotune.registry.registry import Registry

SEEDS = range(1000)
PLOT = DOCUMENT.with_name("batch_size_simulation.png")


class Machine:
    """Runs trials in a world and keeps count."""

    def __init__(self, world: World, seed: int):
        self.world, self.random = world, random.Random(seed)
        self.trials = self.failures = 0
        self._left = 0.0

    def probe(self, size: int) -> int:
        """One trial: its peak, or an out-of-memory error."""
        self.trials += 1
        peak = self.world.peak(size) + self._left + self.random.gauss(0, self.world.noise)
        peak = int(max(peak, self.world.base))
        left = self.random.uniform(0, self.world.residue) * (peak - self.world.base)
        self._left = max(left, self._left * self.random.random())
        if peak > self.world.capacity:
            self.failures += 1
            raise MemoryError
        return peak


def ours(name: str, guided: bool = False) -> Callable[[Machine], int]:
    """One of our strategies, with or without an estimate."""
    strategy = Registry.load().strategy(name)

    def run(machine: Machine) -> int:
        world = machine.world
        guess = world.estimate if guided else None
        return search_batch_size(
            machine.probe, strategy=strategy, budget=int(world.budget), first_guess=guess, base=int(world.start)
        )[0]

    return run


OURS: dict[str, Callable[[Machine], int]] = {
    "lit-autotune predictive": ours("predictive"),
    "lit-autotune predictive, with an estimate": ours("predictive", guided=True),
    "lit-autotune binsearch": ours("binsearch"),
    "lit-autotune power": ours("power"),
}
THEIRS: dict[str, Callable[[Machine], int]] = {
    "Lightning power": lambda machine: lightning_power(machine.probe),
    "Lightning binsearch": lambda machine: lightning_binsearch(machine.probe),
    "Accelerate": lambda machine: accelerate(machine.probe),
    "Ultralytics' formula": lambda machine: ultralytics(machine.probe, int(machine.world.capacity)),
    "double and bisect": lambda machine: gallop(machine.probe),
}


def aim(name: str, world: World) -> float:
    """The memory that a search means to fill, in bytes."""
    if name in OURS:
        return min(world.capacity, world.budget)
    return world.capacity * (0.6 if name == "Ultralytics' formula" else 1.0)


@dataclass(frozen=True)
class Run:
    """What a search came to in one world.

    Attributes:
        trials: Trials, failed ones counted.
        failures: Out-of-memory errors.
        found: The size found over the largest one within what the search aims at; 0 if there was no answer.
        fits: Whether the size found runs in a fresh process.
    """

    trials: int
    failures: int
    found: float
    fits: bool


def simulate(kind: Kind, part: str) -> dict[str, list[Run]]:
    """All searches in all worlds in which a single sample fits."""
    results: dict[str, list[Run]] = {name: [] for name in (*OURS, *THEIRS)}
    for seed in SEEDS:
        world = draw(seed, kind, part)
        for name, search in {**OURS, **THEIRS}.items():
            possible = world.largest(aim(name, world))
            if possible:
                machine = Machine(world, seed)
                try:
                    size = search(machine)
                except AutotuneError:
                    size = 0
                fits = size > 0 and world.peak(size) <= world.capacity
                results[name].append(Run(machine.trials, machine.failures, size / possible, fits))
    return results


def quantile(values: list[float], share: float) -> float:
    """The value that so large a share does not exceed."""
    return sorted(values)[int(share * (len(values) - 1))]


def row(name: str, runs: list[Run]) -> str:
    """One row of the table."""
    trials, found = [run.trials for run in runs], [run.found for run in runs]
    return (
        f"| {name} | {statistics.median(trials):.0f} | {quantile(trials, 0.95):.0f} "
        f"| {statistics.mean(run.failures for run in runs):.2f} "
        f"| {statistics.median(found):.3f} | {quantile(found, 0.05):.2f} | {sum(not run.fits for run in runs)} |"
    )


def table(results: dict[Kind, dict[str, list[Run]]]) -> list[str]:
    """A table for each kind of world."""
    lines: list[str] = []
    for kind, searches in results.items():
        lines += [f"### {KINDS[kind]}", ""]
        lines += [
            "| search | trials: median | 95 % | out of memory: mean | found / possible: median | 5 % | does not fit |"
        ]
        lines += ["|---|" + "---:|" * 6, *(row(name, runs) for name, runs in searches.items()), ""]
    return lines[:-1]


def plot(results: dict[Kind, dict[str, list[Run]]]) -> None:
    """Trials and found sizes: medians as points, the worst twentieth at the line's end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    colors = dict(zip(results, ("#1f5fa8", "#c0392b", "#7f8c8d"), strict=True))
    for place, (kind, searches) in enumerate(results.items()):
        for height, runs in enumerate(reversed(searches.values())):
            y, color = height + 0.2 * (1 - place), colors[kind]
            for axes, values, end in (
                (left, [run.trials for run in runs], 0.95),
                (right, [run.found for run in runs], 0.05),
            ):
                middle = statistics.median(values)
                axes.plot([middle, quantile(values, end)], [y, y], color=color, linewidth=1.5, alpha=0.6)
                axes.plot(
                    middle, y, "o", color=color, markersize=5, label=None if height else KINDS[kind].split(",")[0]
                )
    left.set_yticks(range(len(searches)), reversed(searches), fontsize=9)
    for axes, title in ((left, "trials"), (right, "found / possible")):
        axes.set_xlim(left=0)
        frame(axes, title)
    right.legend(fontsize=8, frameon=False, loc="lower left")
    figure.savefig(PLOT, dpi=130)


if __name__ == "__main__":
    part = "development" if "--development" in sys.argv else "report"
    results = {kind: simulate(kind, part) for kind in KINDS}
    lines = table(results)
    print("\n".join(lines))
    if part == "report":
        write_between("simulation", lines)
        plot(results)
