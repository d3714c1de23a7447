"""The batch-size search: a strategy asks for sizes, a probe tries them. Pure, knows neither torch nor models."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from lit_autotune._shared.sizes import format_size
from lit_autotune._shared.text import first_line
from lit_autotune.errors import BatchSizeError, PluginError, TooLittleDataError
from lit_autotune.search.memory_line import MemoryModel
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, BatchSizeTrial, Measurement, SearchSpace

MAX_REPEATS = 1000
"""A search that asks this often for sizes it knows already is taken to be stuck."""


Probe = Callable[[int], Measurement | int | None]


class _Trials:
    """The sizes run so far; each is run at most once."""

    def __init__(self, probe: Probe, max_trials: int, budget: int | None, on_trial: Callable[[BatchSizeTrial], None]):
        self.done: dict[int, BatchSizeTrial] = {}
        self.budget, self._probe, self._max_trials, self._on_trial = budget, probe, max_trials, on_trial

    def run(self, batch_size: int) -> BatchSizeTrial | None:
        """The trial of a size, run if it was not; ``None`` if it would be one trial too many."""
        if batch_size in self.done:
            return self.done[batch_size]
        if len(self.done) >= self._max_trials:
            return None
        start, outcome, message = time.perf_counter(), "fits", ""
        taken = Measurement(None)
        try:
            result = self._probe(batch_size)
            taken = result if isinstance(result, Measurement) else Measurement(result)
        except MemoryError as error:
            outcome, message = "out_of_memory", first_line(error)
        except TooLittleDataError as error:
            outcome, message = "too_little_data", first_line(error)
        if self.budget is not None and taken.peak_bytes is not None and taken.peak_bytes > self.budget:
            outcome = "over_budget"
            message = f"took {format_size(taken.peak_bytes)} of {format_size(self.budget)}"
        trial = BatchSizeTrial.model_validate(
            {
                "batch_size": batch_size,
                "outcome": outcome,
                "seconds": time.perf_counter() - start,
                "message": message,
                **taken._asdict(),
            }
        )
        self.done[batch_size] = trial
        self._on_trial(trial)
        return trial


def search_batch_size(
    probe: Probe,
    *,
    strategy: str | BatchSizeStrategy = "predictive",
    init_val: int = 2,
    max_trials: int = 25,
    max_val: int | None = None,
    budget: int | None = None,
    first_guess: int | None = None,
    base: int = 0,
    margin: float = 0.0,
    options: Mapping[str, Any] | None = None,
    on_trial: Callable[[BatchSizeTrial], None] = lambda trial: None,
) -> tuple[int, list[BatchSizeTrial]]:
    """Find the largest batch size that fits.

    Args:
        probe: Tries one batch size. Returns its peak memory in bytes, ``None`` where nothing can be measured, or a
            :class:`~lit_autotune.types.Measurement`; raises ``MemoryError`` if it does not fit.
        strategy: A strategy, or the name of one that is installed.
        init_val: Size of the first trial, in samples, where there is no estimate.
        max_trials: At most this many trials, failed ones counted. No size is tried twice.
        max_val: Largest size worth trying.
        budget: Memory that a trial may take, in bytes. A size whose peak is larger does not fit.
        first_guess: An estimate of the answer, in samples; it only saves trials.
        base: What a trial has taken before its first sample, in bytes, as far as it is known; it only saves trials.
        margin: If a size ran out of memory that measured peaks do not foretell, the answer stays this fraction below
            the largest that might not.
        options: What to call the strategy's search with.
        on_trial: Told of each trial as it ends.

    Returns:
        The size, which was run and fits, and all trials in the order they were run.

    Raises:
        UnknownNameError: If no installed strategy has that name.
        BatchSizeError: If no size fits, or none was found within ``max_trials``.
        PluginError: If the search asks for a size outside its space, or asks for ever.
    """
    if isinstance(strategy, str):
        from lit_autotune.registry.registry import Registry

        strategy = Registry.load().strategy(strategy)
    first = init_val if max_val is None else min(init_val, max_val)
    space = SearchSpace(first, max_val, budget, first_guess, base)
    trials = _Trials(probe, max_trials, budget, on_trial)
    _drive(strategy.search(space, **(options or {})), space, trials)
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
    model = MemoryModel.of(trials.done.values(), trials.budget)
    if model is not None and model.largest is not None and model.largest < min(failed):
        margin = 0.0  # measured peaks foretell the failure, and the budget keeps memory free
    ceiling = max(1, int((min(failed) - 1) * (1 - margin)))
    if max(fitting) > ceiling:
        trial = trials.run(ceiling)
        if trial is not None and trial.fits:
            return ceiling
    return max((size for size in fitting if size <= ceiling), default=min(fitting))
