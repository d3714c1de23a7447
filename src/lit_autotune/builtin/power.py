"""Batch-size strategy ``power``: double while it fits, halve until it does."""

from lit_autotune.hookspecs import hookimpl
from lit_autotune.search.bracket import Bracket
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, SearchSpace


def search(space: SearchSpace) -> BatchSizeSearch:
    """Stay on the ladder ``init_val * 2^k``, up or down; skip rungs that memory's line is sure about."""
    bracket = Bracket(space)
    rung = 0
    low: int | None = None
    while not bracket.is_closed() and (size := _size(space, rung)) == bracket.inside(size):
        trial = yield size
        bracket.add(trial)
        low = rung if trial.fits else low
        rung = rung - 1 if low is None else low + 1
        model = bracket.model
        if low is None or model is None or not model.sure or model.largest is None:
            continue
        if _size(space, rung) > model.largest:
            return
        while (above := _size(space, rung + 1)) == bracket.inside(above) and above <= model.largest:
            rung += 1


def _size(space: SearchSpace, rung: int) -> int:
    return space.init_val << rung if rung >= 0 else space.init_val >> -rung


@hookimpl
def lit_autotune_batch_size_strategies() -> list[BatchSizeStrategy]:
    return [BatchSizeStrategy("power", search, "double until a size does not fit")]
