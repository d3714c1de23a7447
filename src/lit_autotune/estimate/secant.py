"""The largest batch size within a memory, by lines through known peaks. Pure numbers."""

from collections.abc import Callable

START, GROWTH, LARGEST = 16, 64, 2**30


def largest_within(peak: Callable[[int], int], usable: int) -> int:
    """The largest batch size whose peak stays within a memory; 0 if not even 1 does.

    The peak is piecewise linear in the batch size and convex: the line through two points that fit leads beyond the
    limit, the line through two points on both sides of it leads short of it, and both are exact on the last piece.

    Args:
        peak: Gives the peak of a size, in bytes. It must not fall.
        usable: The memory, in bytes.
    """
    known: dict[int, int] = {}
    low, high = 0, LARGEST + 1
    size = START
    while high - low > 1:
        known[size] = peak(size)
        low, high = (size, high) if known[size] <= usable else (low, size)
        size = min(max(_guess(known, low, high, usable), low + 1), high - 1)
    return low


def _guess(known: dict[int, int], low: int, high: int, usable: int) -> int:
    """Where the line through the two known points around the limit, or else below it, meets the limit."""
    if not low:
        return high // 2
    bounded = high in known
    below = max((size for size in known if size < low), default=None)
    other = high if bounded else below
    if bounded and len(known) % 4 == 0:
        return (low + high) // 2  # should the peak be no such line after all
    if other is None or known[other] == known[low]:
        return 2 * low
    slope = (known[other] - known[low]) / (other - low)
    return min(int(low + (usable - known[low]) / slope), low * GROWTH)
