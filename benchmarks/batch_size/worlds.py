"""Random memory worlds: how the peak of a training step grows with the batch size on a machine that does not exist.

``peak(b) = max(step, base + slope * b)`` plus what real allocators add: rounding, jumps where kernels change, noise,
memory that an earlier trial left behind.
"""

import math
import random
from dataclasses import dataclass, field
from typing import Literal

MIB = 2**20
MARGIN = 0.1

Kind = Literal["exact", "noisy", "errors"]
KINDS: dict[Kind, str] = {
    "exact": "Exact peaks, as of a GPU's allocator",
    "noisy": "Noisy peaks, as of a CPU process: kernels' workspaces, jumps, memory that stays behind",
    "errors": "A limit that shows as an error, 5 % below to 20 % above the budget",
}


@dataclass(frozen=True)
class Part:
    """What a set of worlds is drawn from; those of the report are not those the strategies were made on.

    Attributes:
        capacities: Memory of a machine, in GiB.
        most: Bounds of the largest size that fits, log-uniform, in samples.
        base: Bounds of the share that is taken before the first sample.
        knee: How often the optimizer's step decides the peak of small sizes, and its largest share of the room.
        jumps: The most jumps, and the largest one as a share of the room.
        noise: Bounds of the standard deviation of a measured peak, as a share of the room.
        estimate: Bounds of an estimate, as a share of the truth.
    """

    capacities: tuple[float, ...]
    most: tuple[float, float]
    base: tuple[float, float]
    knee: tuple[float, float]
    jumps: tuple[int, float]
    noise: tuple[float, float]
    estimate: tuple[float, float]


PARTS = {
    "development": Part((8, 12, 24, 40), (4, 20_000), (0.02, 0.6), (0.5, 0.3), (3, 0.05), (0.0, 0.02), (1.0, 1.6)),
    "report": Part((0.5, 6, 11, 16, 48, 80), (3, 8_000), (0.02, 0.8), (0.4, 0.4), (4, 0.08), (0.005, 0.03), (0.7, 1.5)),
}


@dataclass(frozen=True)
class World:
    """One machine and one model.

    Attributes:
        capacity: A trial that takes more runs out of memory, in bytes.
        budget: What a search is told that it may take, in bytes.
        base: Weights, optimizer state and whatever else is there before the first sample.
        step: Peak of the optimizer's step, whatever the batch size.
        slope: Activations of one sample.
        estimate: What a prediction without the hardware says, in samples.
        jumps: Sizes from which kernels take another workspace, with its size.
        noise: Standard deviation of a measured peak, in bytes.
        residue: The most that a trial leaves behind, as a share of what it took.
        start: What of the base is taken before any trial: the process, without the model's state.
    """

    capacity: float
    budget: float
    base: float
    step: float
    slope: float
    estimate: int
    jumps: tuple[tuple[int, float], ...] = field(default=())
    noise: float = 0.0
    residue: float = 0.0
    start: float = 0.0

    def peak(self, batch_size: int) -> int:
        """Peak of a training step in a fresh process, in bytes."""
        workspace = sum(size for start, size in self.jumps if batch_size >= start)
        peak = max(self.step, self.base + self.slope * batch_size + workspace)
        return math.ceil(peak / (2 * MIB)) * 2 * MIB

    def largest(self, limit: float) -> int:
        """The largest batch size that stays within a limit; 0 if none does."""
        low, high = 0, 1
        while self.peak(high) <= limit:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.peak(middle) <= limit else (low, middle)
        return low


def draw(seed: int, kind: Kind, part: str) -> World:
    """The world of a seed."""
    state = random.Random(f"{part} {kind} {seed}")
    given = PARTS[part]
    capacity = state.choice(given.capacities) * 1024 * MIB
    budget = capacity * (1 - MARGIN)
    if kind == "errors":
        capacity = budget * state.uniform(0.95, 1.2)
    most = math.exp(state.uniform(*map(math.log, given.most)))
    base = budget * state.uniform(*given.base)
    room = budget - base
    often, share = given.knee
    step = base + (room * state.uniform(0, share) if state.random() < often else 0)
    count, height = given.jumps
    noisy = kind == "noisy"
    jumps = [
        (int(math.exp(state.uniform(0, math.log(most)))), room * state.uniform(0, height))
        for _ in range(state.randint(0, count) if noisy else 0)
    ]
    noise = room * state.uniform(*given.noise) if noisy else 0.0
    estimate = max(1, int(most * state.uniform(*given.estimate)))
    start = base * state.random()
    residue = 0.03 if noisy else 0.0
    return World(capacity, budget, base, step, room / most, estimate, tuple(jumps), noise, residue, start)
