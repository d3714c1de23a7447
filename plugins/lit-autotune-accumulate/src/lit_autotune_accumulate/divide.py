"""How a target batch size divides. Pure numbers."""

from collections.abc import Iterator


def divisors(number: int, most: int) -> list[int]:
    """All divisors up to a bound, the largest first."""
    return [one for one in range(min(number, most), 0, -1) if number % one == 0]


def multiples_around(target: int, devices: int) -> list[int]:
    """The nearest targets that so many devices can share."""
    below = target // devices * devices
    return [one for one in (below, below + devices) if one > 0]


def better_target(target: int, devices: int, most: int) -> int | None:
    """The nearest target of which each device can take more than half of what fits at a time; ``None`` within 10 %.

    Args:
        target: What the user asked for.
        devices: Devices that share it.
        most: The most samples that a device can take at a time.
    """
    for other in _around(target, devices):
        if abs(other - target) > target / 10:
            return None
        if 2 * divisors(other // devices, most)[0] > min(most, other // devices):
            return other
    return None


def _around(target: int, devices: int) -> Iterator[int]:
    for distance in range(devices, target, devices):
        yield target - distance
        yield target + distance
