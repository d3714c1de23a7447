"""The largest batch size for a memory that is not here: traced with fake tensors, nothing trained or allocated."""

from collections.abc import Callable, Sequence
from typing import Any

from lit_autotune.attributes import Setting, find_batch_size
from lit_autotune.config import TunerConfig
from lit_autotune.errors import ConfigError
from lit_autotune.orchestrator import check_objects
from lit_autotune.sandbox import Sandbox, owners
from lit_autotune.sizes import parse_size
from lit_autotune.twin import Twin
from lit_autotune.types import Record

UNSEEN = (
    "workspaces of kernels",
    "fragmentation of the allocator",
    "the CUDA context",
    "extra copies in the steps of fused and foreach optimizers",
    "batches larger than the first ones",
)
"""What takes memory, too, but cannot be told without the device and all the data."""

START, GROWTH, LARGEST = 16, 64, 2**30


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


def estimate_batch_sizes(
    trainer: Any,
    module: Any,
    datamodule: Any = None,
    *,
    memory: Sequence[int | str],
    config: TunerConfig | None = None,
) -> tuple[Estimate, ...]:
    """Predict the largest batch size for devices that are not here.

    Two optimizer steps and a validation batch are traced on copies with fake tensors, at a few sizes.

    Args:
        trainer: The Lightning Trainer, with its precision, accumulation and clipping; its device does not matter.
        module: The LightningModule.
        datamodule: The LightningDataModule, or ``None`` if the module brings its own loaders.
        memory: Sizes of memory, in bytes or as ``"24GiB"``.
        config: ``memory_margin``, the share to leave free for what an estimate does not see, and
            ``batch_size_attribute``; by default 10 %, and the place is found.

    Returns:
        An estimate for each memory.

    Raises:
        ConfigError: If a size is none, or the objects cannot be used.
        EstimateError: If something cannot be traced; names it.
    """
    config = config or TunerConfig()
    module = getattr(module, "_orig_mod", module)
    check_objects(trainer, module, datamodule)
    sizes = [_parse(size) for size in memory]
    setting = find_batch_size(owners(module, datamodule), config.batch_size_attribute)
    sandbox = Sandbox(trainer, module, datamodule, quiet=not config.is_debug)
    try:
        twin = Twin(sandbox, setting)
        usable = [int(size * (1 - config.memory_margin)) for size in sizes]
        found = [largest_within(twin.peak, limit) for limit in usable]
        peaks = [twin.peak(size or 1) for size in found]
    finally:
        sandbox.close()
    unseen = (*UNSEEN, *(f"metrics that need values: {name}" for name in sorted(twin.skipped)))
    return tuple(
        Estimate(
            memory=size,
            usable=limit,
            batch_size=batch_size or None,
            peak_bytes=peak,
            probes=tuple(sorted(twin.peaks.items())),
            unseen=unseen,
        )
        for size, limit, batch_size, peak in zip(sizes, usable, found, peaks, strict=True)
    )


def first_guess(sandbox: Sandbox, setting: Setting, usable: int) -> int | None:
    """The largest batch size whose tensors stay within so many bytes; ``None`` if that cannot be told."""
    try:
        return largest_within(Twin(sandbox, setting).peak, usable) or None
    except Exception:  # foreign code under fake tensors raises anything, and a search can do without
        return None


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


def _parse(memory: int | str) -> int:
    try:
        return parse_size(memory) if isinstance(memory, str) else memory
    except ValueError as error:
        raise ConfigError(f"memory: {error}") from None
