"""The batch-size search: a strategy asks for sizes, a probe tries them. Pure, knows neither torch nor models."""

import time
from collections.abc import Callable

from lit_autotune._text import first_line
from lit_autotune.errors import BatchSizeError, PluginError
from lit_autotune.types import BatchSizeSearch, BatchSizeTrial, SearchSpace

MAX_REPEATS = 1000
"""A search that asks this often for sizes it knows already is taken to be stuck."""


class TooLittleDataError(Exception):
    """Raised by a probe when the data cannot fill one batch of that size."""


class _Trials:
    """The sizes run so far; each is run at most once."""

    def __init__(self, probe: Callable[[int], object], max_trials: int, on_trial: Callable[[BatchSizeTrial], None]):
        self.done: dict[int, BatchSizeTrial] = {}
        self._probe, self._max_trials, self._on_trial = probe, max_trials, on_trial

    def run(self, batch_size: int) -> BatchSizeTrial | None:
        """The trial of a size, run if it was not; ``None`` if it would be one trial too many."""
        if batch_size in self.done:
            return self.done[batch_size]
        if len(self.done) >= self._max_trials:
            return None
        start, outcome, message = time.perf_counter(), "fits", ""
        try:
            self._probe(batch_size)
        except MemoryError as error:
            outcome, message = "out_of_memory", first_line(error)
        except TooLittleDataError as error:
            outcome, message = "too_little_data", first_line(error)
        trial = BatchSizeTrial.model_validate(
            {"batch_size": batch_size, "outcome": outcome, "seconds": time.perf_counter() - start, "message": message}
        )
        self.done[batch_size] = trial
        self._on_trial(trial)
        return trial


def search_batch_size(
    probe: Callable[[int], object],
    *,
    search: Callable[[SearchSpace], BatchSizeSearch],
    init_val: int = 2,
    max_trials: int = 25,
    max_val: int | None = None,
    margin: float = 0.0,
    on_trial: Callable[[BatchSizeTrial], None] = lambda trial: None,
) -> tuple[int, list[BatchSizeTrial]]:
    """Find the largest batch size that fits.

    Args:
        probe: Tries one batch size; raises ``MemoryError`` if it does not fit.
        search: Makes the search, e.g. the ``search`` of a :class:`~lit_autotune.types.BatchSizeStrategy`.
        init_val: Size of the first trial, in samples.
        max_trials: At most this many trials, failed ones counted. No size is tried twice.
        max_val: Largest size worth trying.
        margin: If a size did not fit, the answer stays this fraction below the largest that might.
        on_trial: Told of each trial as it ends.

    Returns:
        The size, which was run and fits, and all trials in the order they were run.

    Raises:
        BatchSizeError: If no size fits, or none was found within ``max_trials``.
        PluginError: If the search asks for a size outside its space, or asks for ever.
    """
    space = SearchSpace(init_val if max_val is None else min(init_val, max_val), max_val)
    trials = _Trials(probe, max_trials, on_trial)
    _drive(search(space), space, trials)
    return _choose(trials, margin), list(trials.done.values())


def _drive(search: BatchSizeSearch, space: SearchSpace, trials: _Trials) -> None:
    """Run what the search asks for until it ends or the trials are used up."""
    repeats = 0
    trial: BatchSizeTrial | None = None
    while True:
        # Only the search's own end counts: a StopIteration of the user's code is an error like any other.
        try:
            batch_size = next(search) if trial is None else search.send(trial)
        except StopIteration:
            break
        except Exception as error:  # a strategy is foreign code
            raise PluginError(f"the batch-size search failed: {type(error).__name__}: {first_line(error)}") from error
        if type(batch_size) is not int or batch_size not in space:
            raise PluginError(f"the batch-size search asked for {batch_size!r}, outside 1..{space.max_val or 'any'}")
        repeats += batch_size in trials.done
        if repeats > MAX_REPEATS:
            raise PluginError(f"the batch-size search keeps asking for sizes it knows already, last {batch_size}")
        trial = trials.run(batch_size)
        if trial is None:
            search.close()
            break
    if not trials.done:
        raise PluginError("the batch-size search ended without asking for a single size")


def _choose(trials: _Trials, margin: float) -> int:
    """The largest size that fits, with headroom if a limit was met."""
    fitting = [trial.batch_size for trial in trials.done.values() if trial.fits]
    if not fitting:
        tried = min(trials.done)
        raise BatchSizeError(
            f"not even batch size 1 fits ({trials.done[1].message}); use a smaller model or input, or lower precision"
            if tried == 1
            else f"no batch size fits after {len(trials.done)} trials, the smallest was {tried}; "
            "lower batch_size_init_val or raise batch_size_max_trials"
        )
    failed = [trial.batch_size for trial in trials.done.values() if trial.outcome == "out_of_memory"]
    if not failed:
        return max(fitting)
    ceiling = max(1, int((min(failed) - 1) * (1 - margin)))
    if max(fitting) > ceiling:
        trial = trials.run(ceiling)
        if trial is not None and trial.fits:
            return ceiling
    return max((size for size in fitting if size <= ceiling), default=min(fitting))
