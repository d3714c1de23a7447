"""Batch-size strategy ``predictive``: follow the line that memory takes, to within 5 % of the limit in few trials."""

from lit_autotune.hookspecs import hookimpl
from lit_autotune.search.bracket import TOLERANCE, Bracket
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, SearchSpace

AIM = 0.985
"""Aim at this share of what the line promises: kernels take a little more or less each time."""


def search(space: SearchSpace) -> BatchSizeSearch:
    """Grow until memory's line against the batch size is proven, then go where it leads.

    The peak is convex, so the line through the two largest sizes never promises too little: once a size is within 4 %
    of that promise, or of one that failed, it is the answer. Where nothing is measured: double, then bisect.
    """
    bracket = Bracket(space)
    size = bracket.first
    while True:
        bracket.add((yield size))
        promised = bracket.promised
        if bracket.is_closed(TOLERANCE) or (promised and bracket.fits >= (1 - TOLERANCE) * bracket.inside(promised)):
            return
        leap = bracket.leap
        size = bracket.second or bracket.inside(AIM * leap if leap else bracket.middle)


@hookimpl
def lit_autotune_batch_size_strategies() -> list[BatchSizeStrategy]:
    return [
        BatchSizeStrategy("predictive", search, "follow memory's line to within 5 % of the limit", uses_estimate=True)
    ]
