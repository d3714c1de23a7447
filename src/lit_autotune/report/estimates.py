"""Batch sizes that are predicted and not run."""

from lit_autotune._shared.record import Record


class Estimate(Record):
    """The largest batch size for a memory, predicted and not run.

    Attributes:
        memory: The memory asked for, in bytes.
        usable: What of it may be used: less ``memory_margin``.
        batch_size: The largest size whose peak stays within that; ``None`` if not even 1 does.
        peak_bytes: The peak predicted for it, or for 1.
        probes: All sizes that were traced, with their peaks in bytes.
        unseen: What else takes memory.
    """

    memory: int
    usable: int
    batch_size: int | None
    peak_bytes: int
    probes: tuple[tuple[int, int], ...]
    unseen: tuple[str, ...]
