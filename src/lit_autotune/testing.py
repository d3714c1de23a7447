"""For tests: a conformance kit for plugin authors, and a simulated memory limit.

The kit is what lit-autotune relies on, as plain check functions. All checks at once with :func:`check_lr_suggester`,
or one test each::

    @pytest.mark.parametrize("check", LR_SUGGESTER_CHECKS)
    def test_conformance(check):
        check(my_suggester)

A check raises ``AssertionError`` with one line that says what was found. It needs neither torch nor pytest.

:func:`memory_limit` lets any code run out of memory, on any machine and at the same byte each time.
"""

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from lit_autotune._shared.text import first_line
from lit_autotune.curves.formulas import lr_ladder
from lit_autotune.errors import BatchSizeError, LRSuggestionError
from lit_autotune.range_test.suggestions import MIN_POINTS
from lit_autotune.registry.options import bind_options
from lit_autotune.search.driver import search_batch_size
from lit_autotune.types import BatchSizeStrategy, LRCurve, LRSuggester

if TYPE_CHECKING:
    from lit_autotune.memory.live_tensors import LiveTensors

LR_MIN, LR_MAX, POINTS, MAX_TRIALS = 1e-8, 1.0, 100, 25


@contextlib.contextmanager
def memory_limit(limit: int) -> Iterator["LiveTensors"]:
    """Let tensors take only so many bytes: beyond that, ``torch.OutOfMemoryError``, in a backward pass, too.

    It works on any device, without memory pressure, around a step, a ``trainer.fit``, a ``tune``::

        with memory_limit(100 * 2**20) as meter:
            trainer.fit(module, datamodule=datamodule)
        print(meter.peak_bytes)

    What counts are tensors that operations of this thread allocate inside: batches, activations, gradients, optimizer
    state, the copies of modules that a ``tune`` works with. What existed before does not count, nor do batches from
    the workers of a ``DataLoader``, nor what other processes do. Limits can be nested.

    Args:
        limit: Bytes that may be alive at once.

    Yields:
        A meter with ``current_bytes`` and ``peak_bytes``.
    """
    from lit_autotune.memory.live_tensors import LiveTensors

    with LiveTensors(limit).followed() as meter:
        yield meter


def valley() -> list[float]:
    """Losses of an ordinary range test: a noisy plateau, a fall from 1e-4 to 1e-2, an explosion from 1e-1."""
    noise = random.Random(0)
    logs = [math.log10(rate) for rate in lr_ladder(LR_MIN, LR_MAX, POINTS)]
    return [2.3 - 2 / (1 + math.exp(-3 * x - 9)) + math.exp(4 * x + 2) + noise.gauss(0, 0.02) for x in logs]


def suggests_a_reasonable_rate_on_a_valley(suggester: LRSuggester) -> None:
    """On an ordinary curve there is an answer, and it lies where one can train."""
    value = _suggest(suggester, "a valley", valley())
    assert value is not None, f"{suggester.name}: has no answer on a valley"
    assert 1e-5 <= value <= 1e-1, f"{suggester.name}: gave {value:g} on a valley, not within 1e-5..1e-1"


def is_deterministic(suggester: LRSuggester) -> None:
    """The same curve gives the same answer."""
    first, second = (_suggest(suggester, "a valley", valley()) for _ in range(2))
    assert first == second, f"{suggester.name}: gave {first} and then {second} on the same curve"


def _survives(curve: str, losses: list[float]) -> Callable[[LRSuggester], None]:
    """A check that this curve gives a rate or ``LRSuggestionError``, and no other exception."""

    def check(suggester: LRSuggester) -> None:
        _suggest(suggester, curve, losses)

    check.__name__ = f"survives_{curve.replace(' ', '_')}"
    return check


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


LR_SUGGESTER_CHECKS: Sequence[Callable[[LRSuggester], None]] = (
    suggests_a_reasonable_rate_on_a_valley,
    is_deterministic,
    _survives("a flat curve", [1.0] * POINTS),
    _survives("a rising curve", [1.0 + i for i in range(POINTS)]),
    _survives("few falling points", [float(MIN_POINTS - i) for i in range(MIN_POINTS)]),
    _survives("missing losses", [math.nan if i % 7 == 0 else x for i, x in enumerate(valley()[:-1])] + [math.inf]),
    _survives("negative losses", [loss - 1000 for loss in valley()]),
)
BATCH_SIZE_STRATEGY_CHECKS: Sequence[Callable[[BatchSizeStrategy], None]] = (
    finds_a_size_that_fits,
    goes_down_to_one,
    says_when_nothing_fits,
    keeps_what_it_has_when_trials_run_out,
    copes_with_measured_peaks,
)


def check_lr_suggester(suggester: LRSuggester) -> None:
    """Run all of :data:`LR_SUGGESTER_CHECKS`."""
    for check in LR_SUGGESTER_CHECKS:
        check(suggester)


def check_batch_size_strategy(strategy: BatchSizeStrategy) -> None:
    """Run all of :data:`BATCH_SIZE_STRATEGY_CHECKS`."""
    for check in BATCH_SIZE_STRATEGY_CHECKS:
        check(strategy)


def _suggest(suggester: LRSuggester, where: str, losses: list[float]) -> float | None:
    """The suggestion, options at their defaults, checked; ``None`` if there is none."""
    curve = LRCurve(learning_rates=tuple(lr_ladder(LR_MIN, LR_MAX, len(losses))), losses=tuple(losses))
    try:
        value = suggester.suggest(curve, **bind_options(suggester, {}))
    except LRSuggestionError:
        return None
    except Exception as error:
        raise AssertionError(f"{suggester.name}: {type(error).__name__} on {where}: {first_line(error)}") from error
    usable = isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < math.inf
    assert usable, f"{suggester.name}: gave {value!r} on {where}, not a positive number"
    return value


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
    run: list[int] = []

    def probe(size: int) -> int | None:
        run.append(size)
        if budget is not None:
            return (budget * (largest + size)) // (2 * largest)
        if size > largest:
            raise MemoryError
        return None

    size = None
    try:
        with contextlib.suppress(BatchSizeError):
            size, _ = search_batch_size(
                probe,
                strategy=strategy,
                init_val=init_val,
                max_trials=max_trials,
                max_val=max_val,
                budget=budget,
                first_guess=first_guess,
                options=bind_options(strategy, {}),
            )
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {first_line(error)}") from error
    assert len(run) < MAX_TRIALS, f"{where}, does not end within {MAX_TRIALS} trials; it tried {run}"
    assert size is None or size in filter(largest.__ge__, run), f"{where}, gave {size} after trying {run}"
    return size
