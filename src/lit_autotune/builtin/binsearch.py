"""Batch-size strategy ``binsearch``: double until a size does not fit, then bisect to the exact limit."""

from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, SearchSpace


def search(space: SearchSpace) -> BatchSizeSearch:
    """Keep ``fits < limit`` as a bracket; 0 fits without a trial, and nothing else does."""
    fits, limit = 0, None if space.max_val is None else space.max_val + 1
    size = space.init_val
    failed = False
    while limit is None or limit - fits > 1:
        trial = yield size
        if trial.fits:
            fits = size
        else:
            limit, failed = size, True
        if failed and limit is not None:
            size = (fits + limit) // 2
        else:
            size = 2 * fits if limit is None else min(2 * fits, limit - 1)


@hookimpl
def lit_autotune_batch_size_strategies() -> list[BatchSizeStrategy]:
    return [BatchSizeStrategy("binsearch", search, "double, then bisect to the exact limit")]
