"""Batch-size strategy ``power``: double while it fits, halve until it does."""

from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, SearchSpace


def search(space: SearchSpace) -> BatchSizeSearch:
    """Stay on the ladder ``init_val * 2^k``, up or down."""
    size = space.init_val
    trial = yield size
    while not trial.fits and size > 1:
        size //= 2
        trial = yield size
        if trial.fits:
            return
    while trial.fits and 2 * size in space:
        size *= 2
        trial = yield size


@hookimpl
def lit_autotune_batch_size_strategies() -> list[BatchSizeStrategy]:
    return [BatchSizeStrategy("power", search, "double until a size does not fit")]
