"""Sizes in bytes, as people write them.

Not ``pydantic.ByteSize``: it takes ``"1,5GiB"`` for one byte and ``"80%"`` for eighty.
"""

import re

UNITS = {"B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", 1)
    for suffix, base in (("iB", 1024), ("B", 1000))
}


def parse_size(text: str) -> int:
    """Bytes of a size such as ``"24GiB"``, ``"80 GB"`` or ``"1.5GiB"``.

    Raises:
        ValueError: If it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    units = {unit.lower(): size for unit, size in UNITS.items()}
    if match and not match[2]:
        raise ValueError(f"{text!r} has no unit; write '{text.strip()}GiB', or '{text.strip()}B' for bytes")
    if not match or match[2].lower() not in units or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not a size such as '24GiB' or '512MiB'")
    return int(float(match[1]) * units[match[2].lower()])


def format_size(size: float) -> str:
    """A size for people: ``"3.5 GiB"``."""
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
