"""Batch-size strategy ``binsearch``: double until a size does not fit, then bisect to the exact limit."""

from lit_autotune.hookspecs import hookimpl
from lit_autotune.search.bracket import Bracket
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, SearchSpace


def search(space: SearchSpace) -> BatchSizeSearch:
    """Keep ``fits < limit`` as a bracket; look where memory's line leads, or in the middle where there is none.

    Exact to one sample, or to what the peaks can tell: on a CPU those of the same size differ.
    """
    bracket = Bracket(space)
    size = bracket.first
    step = 1
    while not bracket.is_exact:
        bracket.add((yield size))
        leap = bracket.leap
        if second := bracket.second:
            size = second
        elif leap is None:
            size = bracket.middle
        elif leap > bracket.fits:
            size = bracket.inside(leap)
        else:
            size = bracket.inside(bracket.fits + step)  # the next one proves that it is the limit
            step *= 2


@hookimpl
def lit_autotune_batch_size_strategies() -> list[BatchSizeStrategy]:
    return [BatchSizeStrategy("binsearch", search, "double, then bisect to the exact limit", uses_estimate=True)]
