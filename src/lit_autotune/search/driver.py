"""The batch-size search: a strategy asks for sizes, a probe tries them. Pure, knows neither torch nor models."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lit_autotune.errors import BatchSizeError, PluginError
from lit_autotune.registry.registry import Registry
from lit_autotune.search.guarded import guarded
from lit_autotune.search.memory_line import MemoryModel
from lit_autotune.search.trials import Probe, Trials
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, BatchSizeTrial, SearchSpace

MAX_REPEATS = 1000
"""A search that asks this often for sizes it knows already is taken to be stuck."""


def search_batch_size(
    probe: Probe,
    *,
    strategy: str | BatchSizeStrategy = "predictive",
    registry: Registry | None = None,
    init_val: int = 2,
    max_trials: int = 25,
    max_val: int | None = None,
    budget: int | None = None,
    first_guess: int | None = None,
    base: int = 0,
    present: int | None = None,
    margin: float = 0.0,
    options: Mapping[str, Any] | None = None,
    on_trial: Callable[[BatchSizeTrial], None] = lambda trial: None,
) -> tuple[int, list[BatchSizeTrial]]:
    """Find the largest batch size that fits.

    A size with which the probe raises an error of its own, neither ``MemoryError`` nor one of this package, cannot be
    used. If all smaller sizes are such the search begins anew with a larger one.

    Args:
        probe: Tries one batch size. Returns its peak memory in bytes, ``None`` where nothing can be measured, or a
            :class:`~lit_autotune.types.Measurement`; raises ``MemoryError`` if it does not fit.
        strategy: A strategy, or the name of one that is installed.
        registry: The plugins in use, by default all that are installed. Errors name the strategy's.
        init_val: Size of the first trial, in samples, where there is no estimate.
        max_trials: At most this many trials, failed ones counted. No size is tried twice.
        max_val: Largest size worth trying.
        budget: Memory that a trial may take, in bytes. A size whose peak is larger does not fit.
        first_guess: An estimate of the answer, in samples; it only saves trials.
        base: What a trial has taken before its first sample, in bytes, as far as it is known; it only saves trials.
        present: The size trained with so far. If the probe fails with that, too, no other size is to blame.
        margin: If a size ran out of memory that measured peaks do not foretell, the answer stays this fraction below
            the largest that might not.
        options: What to call the strategy's search with.
        on_trial: Told of each trial as it ends.

    Returns:
        The size, which was run and fits, and all trials in the order they were run.

    Raises:
        UnknownNameError: If no installed strategy has that name.
        BatchSizeError: If no size fits, or none was found within ``max_trials``.
        PluginError: If the search fails, asks for what is no size within its space, or asks for ever.
        Exception: The probe's own, if it raises one with the present size, or with all that were tried.
    """
    if isinstance(strategy, str):
        registry = registry or Registry.load()
        strategy = registry.strategy(strategy)
    registry = registry or Registry()
    first = init_val if max_val is None else min(init_val, max_val)
    space = SearchSpace(first, max_val, budget, first_guess, base)
    trials = Trials(probe, max_trials, max_val, budget, present, on_trial)
    safe = guarded(strategy, registry)
    try:
        _drive(lambda space: safe.search(space, **(options or {})), space, trials)
    except _SearchError as error:
        raise registry.blame(strategy, "failed", PluginError(str(error))) from None
    return _choose(trials, margin), list(trials.done.values())


class _SearchError(Exception):
    """A search that breaks a rule which only its driver can see."""


def _drive(start: Callable[[SearchSpace], BatchSizeSearch], space: SearchSpace, trials: Trials) -> None:
    """Run what the search asks for until it ends or the trials are used up; begin anew where no size could be used."""
    again: SearchSpace | None = space
    while again is not None:
        search = start(again)
        try:
            again = _follow(search, again, trials)
        finally:
            search.close()  # here, and not by the garbage collector at any time: it may have things to put away
    if not trials.done:
        raise _SearchError("it ended without asking for a single size; a search must yield at least one")


def _follow(search: BatchSizeSearch, space: SearchSpace, trials: Trials) -> SearchSpace | None:
    """Run what one search asks for; returns where to begin anew, if that is what is to be done."""
    repeats = 0
    trial: BatchSizeTrial | None = None
    while True:
        # Only the search's own end counts: a StopIteration of the user's code is an error like any other.
        try:
            batch_size = next(search) if trial is None else search.send(trial)
        except StopIteration:
            return None
        repeats += batch_size in trials.done
        if repeats > MAX_REPEATS:
            raise _SearchError(f"it keeps asking for sizes that were tried, last {batch_size}; a search must end")
        trial = trials.run(batch_size)
        if trial is not None and trial.outcome == "cannot_be_used":
            if any(size < batch_size for size in trials.fitting):
                trial = trials.below(batch_size) or trial
            elif (larger := trials.larger(batch_size)) != space.init_val:
                return replace(space, init_val=larger, first_guess=None) if larger is not None else None
        if trial is None:
            return None


def _choose(trials: Trials, margin: float) -> int:
    """The largest size that fits, with headroom if a limit was met."""
    fitting = trials.fitting
    if not fitting:
        trials.fail()
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
