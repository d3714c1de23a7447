"""What a batch-size strategy must keep to, as checks."""

import contextlib
from collections.abc import Callable, Sequence

from lit_autotune._shared.text import first_line
from lit_autotune.errors import BatchSizeError, PluginError
from lit_autotune.registry.options import bind_options
from lit_autotune.search.driver import search_batch_size
from lit_autotune.testing.memory import MemoryOracle
from lit_autotune.testing.state import changed_state
from lit_autotune.types import BatchSizeStrategy, BatchSizeTrial, SearchSpace

MAX_TRIALS = 25
StrategyCheck = Callable[[BatchSizeStrategy], None]


def strategy_checks() -> list[StrategyCheck]:
    """Checks of a :class:`~lit_autotune.BatchSizeStrategy`, with names that say what each one is about."""
    return [
        finds_a_size_that_fits,
        goes_down_to_one,
        says_when_nothing_fits,
        keeps_what_it_has_when_trials_run_out,
        copes_with_measured_peaks,
        search_leaves_state_alone,
    ]


def finds_a_size_that_fits(strategy: BatchSizeStrategy) -> None:
    """The answer fits and was run, nothing outside the space is asked for, and the search ends by itself."""
    for init_val, largest, max_val in ((2, 100, None), (3, 1, 64), (64, 1000, 64), (1, 7, 48), (5, 1000, 37)):
        size = _search(strategy, init_val, largest, max_val)
        assert size is not None, f"{strategy.name}: no answer from init_val {init_val} although {largest} fits"


def goes_down_to_one(strategy: BatchSizeStrategy) -> None:
    """If the first size does not fit, smaller ones are tried, down to 1."""
    for init_val in (2, 7, 256):
        size = _search(strategy, init_val, largest=1)
        assert size == 1, f"{strategy.name}: no answer from init_val {init_val} although 1 fits"


def says_when_nothing_fits(strategy: BatchSizeStrategy) -> None:
    """If not even 1 fits, the search ends, and without an answer."""
    _search(strategy, 16, largest=0)


def keeps_what_it_has_when_trials_run_out(strategy: BatchSizeStrategy) -> None:
    """Cut short by the trial budget, with or without a limit in sight, it has the size that fits already."""
    for largest in (10, 10**12):
        size = _search(strategy, 2, largest, max_trials=4)
        assert size is not None, f"{strategy.name}: no answer after 4 trials although init_val fits"


def copes_with_measured_peaks(strategy: BatchSizeStrategy) -> None:
    """With peaks, a budget, and an estimate that is right, too low or too high, the answer fits the budget."""
    for guess in (None, 40, 100, 160):
        size = _search(strategy, 2, largest=100, budget=1000, first_guess=guess)
        assert size is not None, f"{strategy.name}: no answer with first_guess {guess} although 100 fits the budget"


def search_leaves_state_alone(strategy: BatchSizeStrategy) -> None:
    """It leaves random state, default dtype and gradient mode as they are; use a generator of your own."""

    def drive() -> None:
        search = strategy.search(SearchSpace(init_val=2, max_val=64), **bind_options(strategy, {}))
        # What else may be wrong with the search is for the other checks to say.
        with contextlib.suppress(Exception):
            size = next(search)
            for _ in range(MAX_TRIALS):
                outcome = "fits" if size <= 20 else "out_of_memory"
                trial = {"batch_size": size, "outcome": outcome, "seconds": 0.0}
                size = search.send(BatchSizeTrial.model_validate(trial))
        search.close()

    changed = changed_state(drive)
    assert not changed, f"{strategy.name}: changes {', '.join(changed)}"


def _search(
    strategy: BatchSizeStrategy,
    init_val: int,
    largest: int,
    max_val: int | None = None,
    max_trials: int = MAX_TRIALS,
    budget: int | None = None,
    first_guess: int | None = None,
) -> int | None:
    """The answer, options at their defaults, if sizes up to ``largest`` fit, checked; ``None`` if there is none."""
    where = f"{strategy.name}: from init_val {init_val} with {largest} the largest that fits"
    oracle, size = MemoryOracle(largest, budget), None
    try:
        with contextlib.suppress(BatchSizeError):
            size, _ = search_batch_size(
                oracle,
                strategy=strategy,
                init_val=init_val,
                max_trials=max_trials,
                max_val=max_val,
                budget=budget,
                first_guess=first_guess,
                options=bind_options(strategy, {}),
            )
    except PluginError as error:
        raise AssertionError(f"{where}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {first_line(error)}") from error
    run = oracle.tried
    assert len(run) < MAX_TRIALS, f"{where}, does not end within {MAX_TRIALS} trials; it tried {run}"
    assert size is None or size in filter(largest.__ge__, run), f"{where}, gave {size} after trying {run}"
    return size


BATCH_SIZE_STRATEGY_CHECKS: Sequence[StrategyCheck] = tuple(strategy_checks())
"""What :func:`strategy_checks` gives."""


def check_batch_size_strategy(strategy: BatchSizeStrategy) -> None:
    """Run all of :func:`strategy_checks`."""
    for check in strategy_checks():
        check(strategy)
