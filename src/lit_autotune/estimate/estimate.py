"""The largest batch size for a memory that is not here: traced with fake tensors, nothing trained or allocated."""

from collections.abc import Sequence
from typing import Any

from lit_autotune._shared.sizes import parse_size
from lit_autotune.config import TunerConfig
from lit_autotune.copies.attributes import Setting, find_batch_size
from lit_autotune.copies.owners import owners
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError
from lit_autotune.estimate.secant import largest_within
from lit_autotune.estimate.twin import Twin
from lit_autotune.internals.objects import check_objects, check_whole, uncompiled
from lit_autotune.report.estimates import Estimate

UNSEEN = (
    "workspaces of kernels",
    "fragmentation of the allocator",
    "the CUDA context",
    "extra copies in the steps of fused and foreach optimizers",
    "batches larger than the first ones",
)
"""What takes memory, too, but cannot be told without the device and all the data."""


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
    module = uncompiled(module)
    check_objects(trainer, module, datamodule)
    check_whole(trainer)
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
    if sandbox.processes:
        return None  # this process has only a part of what would have to be traced
    try:
        return largest_within(Twin(sandbox, setting).peak, usable) or None
    except Exception:  # foreign code under fake tensors raises anything, and a search can do without
        return None


def _parse(memory: int | str) -> int:
    try:
        return parse_size(memory) if isinstance(memory, str) else memory
    except ValueError as error:
        raise ConfigError(f"memory: {error}") from None
