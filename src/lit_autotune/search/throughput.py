"""Which of the sizes that fit trains fastest. Pure numbers."""

from collections.abc import Iterable

from lit_autotune.types import BatchSizeSearch, BatchSizeTrial

TOLERANCE = 0.05
MORE_TRIALS = 6


def fastest(trials: Iterable[BatchSizeTrial]) -> int | None:
    """The smallest size that fits with a throughput within 5 % of the best; ``None`` if no steps were timed."""
    timed = [(trial.batch_size, rate) for trial in trials if trial.fits and (rate := trial.samples_per_second)]
    best = max((rate for _, rate in timed), default=0.0)
    return min((size for size, rate in timed if rate >= (1 - TOLERANCE) * best), default=None)


def also_timed(search: BatchSizeSearch) -> BatchSizeSearch:
    """The same search, then some more sizes: one for the largest jumps over those where throughput may be best."""
    trials: list[BatchSizeTrial] = []
    size: int | None = next(search)
    while size is not None:
        trials.append((yield size))
        try:
            size = search.send(trials[-1])
        except StopIteration:
            break
    for _ in range(MORE_TRIALS):
        size = _worth_timing(trials)
        if size is None:
            return
        trials.append((yield size))


def _worth_timing(trials: list[BatchSizeTrial]) -> int | None:
    """The middle, in doublings, of the wider gap beside the fastest size; ``None`` if both are narrow."""
    best = fastest(trials)
    if best is None:
        return None
    sizes = [1, *sorted(trial.batch_size for trial in trials if trial.fits)]
    place = sizes.index(best, 1)
    gaps = [(sizes[place - 1], best), (best, (sizes[place + 1 :] or [best])[0])]
    low, high = max(gaps, key=lambda gap: gap[1] / gap[0])
    return round((low * high) ** 0.5) if high > 2 * low else None
