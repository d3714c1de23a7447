"""Other tools' ways to look for a batch size, as functions of a probe that returns the peak or runs out of memory.

Written from the documentation and the published source of each tool; their defaults are kept.
"""

from collections.abc import Callable

Probe = Callable[[int], int]


def fits(probe: Probe, size: int) -> bool:
    """Whether a size runs."""
    try:
        probe(size)
    except MemoryError:
        return False
    return True


def lightning_power(probe: Probe, init: int = 2, max_trials: int = 25, max_val: int = 8192) -> int:
    """Lightning 2.6: double until it fails, then halve once; what reaches ``max_val`` is returned untested."""
    size, ever = init, False
    for _ in range(max_trials):
        if size >= max_val:
            break
        if fits(probe, size):
            ever = True
            size *= 2
        else:
            size //= 2
            if ever or size == 0:
                break
    return min(size, max_val)


def lightning_binsearch(probe: Probe, init: int = 2, max_val: int = 8192, margin: float = 0.05) -> int:
    """Lightning 2.6: double, bisect to a gap of one, take 5 % off the batch size."""
    low, high, size = 1, None, init
    while True:
        if size >= max_val:
            return max(1, int(max_val * (1 - margin)))
        if fits(probe, size):
            low = size
            if high is not None and high - low <= 1:
                break
            size = (high + low) // 2 if high is not None else 2 * size
        else:
            high = size
            if high - low <= 1:
                break
            size = (high + low) // 2
    return max(1, int(low * (1 - margin)))


def accelerate(probe: Probe, start: int = 128) -> int:
    """Accelerate's ``find_executable_batch_size``: downwards only, by a tenth each time."""
    size = start
    while size > 0:
        if fits(probe, size):
            return size
        size = int(size * 0.9)
    return 0


def ultralytics(probe: Probe, capacity: int, fraction: float = 0.6) -> int:
    """Ultralytics' AutoBatch: a straight line through sizes 1 to 16 in log-log space, solved for 60 % of the memory."""
    import math

    points = []
    for size in (1, 2, 4, 8, 16):
        try:
            points.append((math.log(size), math.log(probe(size))))
        except MemoryError:
            break
    if len(points) < 2:
        return 16
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    if slope <= 0:
        return 16
    size = int(math.exp(min((math.log(fraction * capacity) - mean_y) / slope + mean_x, 100)))
    return size if 1 <= size <= 1024 else 16


def gallop(probe: Probe, init: int = 2, tolerance: float = 0.02) -> int:
    """Double, then bisect to within 2 %: the textbook."""
    low, high = 0, init
    while fits(probe, high):
        low, high = high, 2 * high
    while high - low > max(1, tolerance * low):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(probe, middle) else (low, middle)
    return low
