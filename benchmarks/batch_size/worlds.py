"""Random memory worlds: how the peak of a training step grows with the batch size on a machine that does not exist.

``peak(b) = max(step, base + slope * b)`` plus what real allocators add: rounding, jumps where kernels change, noise.
"""

import math
import random
from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class World:
    """One machine and one model.

    Attributes:
        capacity: Memory of the machine, in bytes; a trial that takes more runs out of memory.
        base: Weights, optimizer state and whatever else is there before the first sample.
        step: Peak of the optimizer's step, whatever the batch size.
        slope: Activations of one sample.
        jumps: Sizes from which kernels take another workspace, with its size.
        noise: Standard deviation of a measured peak, as a share of it.
        estimate: What a prediction without the hardware says, in samples.
    """

    capacity: int
    base: float
    step: float
    slope: float
    jumps: tuple[tuple[int, float], ...]
    noise: float
    estimate: int

    def peak(self, batch_size: int, random_state: random.Random | None = None) -> int:
        """Peak of a training step, in bytes."""
        workspace = sum(size for start, size in self.jumps if batch_size >= start)
        peak = max(self.step, self.base + self.slope * batch_size + workspace)
        if random_state is not None:
            peak *= 1 + random_state.gauss(0, self.noise)
        return int(math.ceil(peak / (2 * MIB)) * 2 * MIB) if peak > 2 * MIB else int(peak)

    def largest(self, budget: float) -> int:
        """The largest batch size that fits a budget; 0 if none does."""
        low, high = 0, 1
        while self.peak(high) <= budget:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.peak(middle) <= budget else (low, middle)
        return low


def draw(seed: int, noisy: bool, development: bool) -> World:
    """The world of a seed. Worlds for development and worlds for the report come from different distributions."""
    state = random.Random(f"{'development' if development else 'report'} {seed}")
    capacity = state.choice([8, 12, 24, 40] if development else [6, 11, 16, 48, 80]) * 1024 * MIB
    most = math.exp(state.uniform(math.log(1.5), math.log(20_000 if development else 8_000)))
    base = capacity * state.uniform(0.02, 0.6 if development else 0.7)
    slope = (capacity - base) / most
    step = base + (capacity - base) * (state.uniform(0, 0.3) if state.random() < (0.5 if development else 0.4) else 0)
    jumps = [
        (int(math.exp(state.uniform(0, math.log(most + 1)))), capacity * state.uniform(0, 0.03))
        for _ in range(state.randint(0, 3) if noisy else 0)
    ]
    estimate = max(1, int(most * (state.uniform(1.0, 1.6) if development else state.uniform(0.8, 1.5))))
    return World(capacity, base, step, slope, tuple(jumps), 0.01 if noisy else 0.0, estimate)
