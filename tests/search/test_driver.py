"""The batch-size search, with the built-in strategies, on oracles that stand in for a device's memory."""

import bisect
import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lit_autotune.builtin import binsearch, power, predictive
from lit_autotune.errors import AutotuneError, BatchSizeError, PluginError, TooLittleDataError
from lit_autotune.search.driver import search_batch_size
from lit_autotune.types import BatchSizeStrategy, BatchSizeTrial, Measurement

MANY = 100
STRATEGIES = {
    strategy.name: strategy
    for module in (binsearch, power, predictive)
    for strategy in module.lit_autotune_batch_size_strategies()
}

sizes = st.integers(1, 5000)
maybe_max = st.none() | sizes
margins = st.sampled_from([0.0, 0.05, 0.1, 0.5, 0.9])
strategies = st.sampled_from(sorted(STRATEGIES))
quick = settings(deadline=None, max_examples=60)


def oracle(limit, data=None):
    """A probe on a device that holds ``limit`` samples, with ``data`` samples to train on."""

    def probe(size):
        if size > limit:
            raise MemoryError(f"{size} samples do not fit")
        if data is not None and size > data:
            raise TooLittleDataError(f"only {data} samples")

    return probe


def run(limit, strategy="binsearch", data=None, max_trials=MANY, **arguments):
    """Search on a monotone oracle; the size found and the trials."""
    return search_batch_size(oracle(limit, data), strategy=STRATEGIES[strategy], max_trials=max_trials, **arguments)


@quick
@given(limit=sizes, init_val=sizes, max_val=maybe_max)
def test_binsearch_without_margin_is_exact(limit, init_val, max_val):
    """Given enough trials, binsearch finds the very largest size that fits."""
    size, _ = run(limit, init_val=init_val, max_val=max_val)
    assert size == min(limit, max_val or limit)


@quick
@given(limit=sizes, data=sizes, init_val=sizes)
def test_binsearch_is_exact_when_data_run_out(limit, data, init_val):
    """Too little data is a limit like any other for the search itself."""
    assert run(limit, data=data, init_val=init_val)[0] == min(limit, data)


@quick
@given(limit=sizes, init_val=sizes, max_val=maybe_max)
def test_power_finds_the_largest_rung_that_fits(limit, init_val, max_val):
    """Power stays on the ladder of doublings and halvings of its first size."""
    first = min(init_val, max_val or init_val)
    rungs = [first << k if first <= limit else first >> k for k in range(20)]
    best = max(rung for rung in rungs if 1 <= rung <= min(limit, max_val or limit))
    assert run(limit, "power", init_val=init_val, max_val=max_val)[0] == best


@quick
@given(strategy=strategies, limit=sizes, init_val=sizes, max_val=maybe_max, data=maybe_max, margin=margins)
def test_answer_was_run_and_fits(strategy, limit, init_val, max_val, data, margin):
    """The answer is a size that was really run and fitted; no size is run twice, or above the maximum."""
    seen = []
    told = []

    def probe(size):
        seen.append(size)
        oracle(limit, data)(size)

    size, trials = search_batch_size(
        probe,
        strategy=STRATEGIES[strategy],
        init_val=init_val,
        max_trials=MANY,
        max_val=max_val,
        margin=margin,
        on_trial=told.append,
    )
    assert size in [trial.batch_size for trial in trials if trial.fits]
    assert size <= min(limit, data or limit)
    assert len(seen) == len(set(seen))
    assert all(1 <= asked <= (max_val or asked) for asked in seen)
    assert [trial.batch_size for trial in trials] == seen
    assert told == trials


@quick
@given(strategy=strategies, limit=sizes, init_val=sizes, max_trials=st.integers(1, 8), margin=margins)
def test_trials_are_bounded(strategy, limit, init_val, max_trials, margin):
    """There are never more trials than allowed, failed ones and the one for the margin counted."""
    count = 0

    def probe(size):
        nonlocal count
        count += 1
        oracle(limit)(size)

    try:
        size, trials = search_batch_size(
            probe, strategy=STRATEGIES[strategy], init_val=init_val, max_trials=max_trials, margin=margin
        )
    except BatchSizeError:
        assert init_val > limit
    else:
        assert size <= limit
        assert len(trials) == count
    assert count <= max_trials


@quick
@given(strategy=strategies, limit=sizes, init_val=sizes, margin=margins)
def test_margin_is_kept_below_a_limit_that_was_met(strategy, limit, init_val, margin):
    """Where a size did not fit, the answer stays the margin below the largest that might."""
    size, trials = run(limit, strategy, init_val=init_val, margin=margin)
    failing = min(trial.batch_size for trial in trials if trial.outcome == "out_of_memory")
    assert size <= max(1, (1 - margin) * (failing - 1) + 1e-6)


@quick
@given(limit=st.integers(2, 5000), margin=st.sampled_from([0.0, 0.05, 0.1, 0.5]))
def test_margin_costs_no_more_than_it_says(limit, margin):
    """Binsearch knows the limit exactly, so the answer is the margin below it and not less."""
    assert run(limit, margin=margin)[0] >= max(1, (1 - margin) * limit - 1 - 1e-6)


@quick
@given(strategy=strategies, max_val=sizes, init_val=sizes, margin=margins)
def test_margin_is_not_applied_where_no_limit_was_met(strategy, max_val, init_val, margin):
    """A maximum that the user gave is no memory limit."""
    arguments = {"limit": 10**9, "strategy": strategy, "init_val": init_val, "max_val": max_val}
    assert run(**arguments, margin=margin)[0] == run(**arguments)[0]


@pytest.mark.parametrize(("limit", "expected"), [(104, 100), (50, 40)], ids=["foretold", "not foretold"])
def test_margin_is_not_applied_to_a_limit_that_was_measured(limit, expected):
    """The budget keeps memory free already; an error far below it has another cause, which no budget keeps away."""

    def probe(size):
        if size > limit:
            raise MemoryError
        return 10 * size + 200

    assert search_batch_size(probe, strategy="binsearch", budget=1200, margin=0.2)[0] == expected


@quick
@given(strategy=strategies, data=sizes, init_val=sizes, margin=margins)
def test_too_little_data_brings_no_margin(strategy, data, init_val, margin):
    """Sizes that the data cannot fill do not fit, but memory was enough, so no headroom is kept."""
    size, trials = run(10**9, strategy, data=data, init_val=init_val, margin=margin)
    assert size == run(10**9, strategy, data=data, init_val=init_val)[0]
    assert {trial.outcome for trial in trials if trial.batch_size > data} == {"too_little_data"}


@pytest.mark.parametrize(("strategy", "expected"), [("power", 62), ("binsearch", 70)])
def test_first_size_too_large(strategy, expected):
    """From a first size that does not fit the search goes down."""
    assert run(70, strategy, init_val=1000)[0] == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("init_val", [1, 2, 7, 64])
def test_nothing_fits(strategy, init_val):
    """If not even one sample fits, there is no answer; the error says why."""
    with pytest.raises(BatchSizeError, match=r"batch size 1 .*1 samples do not fit"):
        run(0, strategy, init_val=init_val)


def test_trials_used_up_before_anything_fits():
    """The error names the smallest size tried and what to change."""
    with pytest.raises(BatchSizeError, match=r"after 3 trials.* 250.*batch_size_init_val"):
        run(1, "power", init_val=1000, max_trials=3)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyboardInterrupt, StopIteration, GeneratorExit])
def test_other_exceptions_come_through(strategy, error):
    """Whatever else the probe raises is the user's, and comes out as it is."""
    mistake = error("mine")

    def probe(size):
        raise mistake

    with pytest.raises(error) as caught:
        search_batch_size(probe, strategy=STRATEGIES[strategy])
    assert caught.value is mistake


@quick
@given(strategy=strategies, fitting=st.sets(st.integers(1, 300)), init_val=st.integers(1, 300), margin=margins)
def test_memory_that_is_not_monotone(strategy, fitting, init_val, margin):
    """Where fitting depends on more than the size, the search still ends, with a size that fits."""
    assume(fitting)

    def probe(size):
        if size not in fitting:
            raise MemoryError

    try:
        size, _ = search_batch_size(
            probe, strategy=STRATEGIES[strategy], init_val=init_val, max_trials=MANY, max_val=300, margin=margin
        )
    except BatchSizeError:
        return
    assert size in fitting


def strategy_of(search):
    """A plugin's strategy."""
    return BatchSizeStrategy("plugin", search, "for a test")


def once(*asked):
    """A search that asks for some sizes and ends."""

    def search(space):
        for size in asked:
            _ = yield size

    return search


def for_ever(space):
    """A search that never learns."""
    while True:
        yield 2


@pytest.mark.parametrize("search", [once(0), once(-1), once(2, 101), once(None), once(2.5), for_ever])
def test_search_that_breaks_the_rules(search):
    """A size outside the space, no size at all, or the same one for ever is the plugin's fault."""
    with pytest.raises(PluginError):
        search_batch_size(lambda size: None, strategy=strategy_of(search), max_val=100)


def test_search_that_asks_for_nothing():
    """Of a size that was never tried it is not said that it does not fit."""
    with pytest.raises(AutotuneError) as caught:
        search_batch_size(lambda size: None, strategy=strategy_of(once()))
    assert "batch size 1" not in str(caught.value)


def test_growing_search_is_cut_by_the_trial_budget():
    """A search that asks for new sizes for ever ends with the trials, and what fitted counts."""

    def search(space):
        size = 1
        while True:
            yield size
            size += 1

    assert search_batch_size(lambda size: None, strategy=strategy_of(search), max_trials=7)[0] == 7


MIB = 2**20
worlds = st.builds(
    lambda base, slope, step: lambda size: int(MIB * max(step, base + slope * size)),
    base=st.floats(0, 400),
    slope=st.floats(0.01, 200),
    step=st.floats(0, 500),
)


def largest(peak, budget):
    """The largest size up to 10,000 that fits; peaks only grow."""
    return bisect.bisect_right(range(1, 10_001), budget, key=peak)


def measured(peak, capacity):
    """A probe on a device with so much memory, whose peaks are measured."""

    def probe(size):
        if peak(size) > capacity:
            raise MemoryError
        return peak(size)

    return probe


@quick
@given(peak=worlds, init_val=st.integers(1, 64), guess=st.none() | sizes, max_val=maybe_max)
def test_predictive_ends_within_five_percent_of_what_fits_the_budget(peak, init_val, guess, max_val):
    """With measured peaks the answer is close to the largest size within the budget, and never beyond it."""
    budget = 900 * MIB
    assume(0 < largest(peak, budget) < 10_000)
    possible = min(largest(peak, budget), max_val or 10_000)
    size, trials = search_batch_size(
        measured(peak, 1000 * MIB),
        init_val=init_val,
        max_val=max_val,
        budget=budget,
        first_guess=guess,
        max_trials=MANY,
    )
    assert 0.95 * possible - 1 <= size <= possible
    assert len(trials) <= 20


@quick
@given(peak=worlds, init_val=st.integers(1, 64))
def test_binsearch_stays_exact_when_peaks_are_measured(peak, init_val):
    """The model only chooses where to look: the answer is the very largest size."""
    budget = 900 * MIB
    possible = largest(peak, budget)
    assume(0 < possible < 10_000)
    size, _ = search_batch_size(
        measured(peak, 1000 * MIB), strategy="binsearch", init_val=init_val, budget=budget, max_trials=MANY
    )
    assert size == possible


@quick
@given(peak=worlds, init_val=st.integers(1, 64), max_val=maybe_max)
def test_power_finds_the_largest_rung_when_peaks_are_measured(peak, init_val, max_val):
    """Rungs may be skipped, but the answer is the one that climbing would have found."""
    budget = 900 * MIB
    possible = min(largest(peak, budget), max_val or 9_999)
    assume(0 < possible < 10_000)
    first = min(init_val, max_val or init_val)
    rungs = {first * 2**k for k in range(20)} | {first // 2**k for k in range(20)}
    size, trials = search_batch_size(
        measured(peak, 1000 * MIB),
        strategy="power",
        init_val=init_val,
        max_val=max_val or 9_999,
        budget=budget,
        max_trials=MANY,
    )
    assert size == max(rung for rung in rungs if rung <= possible)
    assert {trial.batch_size for trial in trials} <= rungs


@pytest.mark.parametrize(("max_val", "expected"), [(None, 8192), (5000, 4096), (8192, 8192), (4095, 2048)])
def test_power_skips_no_rung_below_a_maximum(max_val, expected):
    """Where the line leads beyond the largest size worth trying, the last rung within it is still run."""
    probe = measured(lambda size: size * MIB // 10, 1000 * MIB)
    size, _ = search_batch_size(probe, strategy="power", init_val=1, max_val=max_val, budget=900 * MIB)
    assert size == expected


@pytest.mark.parametrize(("strategy", "most"), [("predictive", 4), ("binsearch", 5)])
def test_what_the_process_holds_anyway_saves_trials(strategy, most):
    """Of 400 MiB before the first sample none grows with the batch, so the first trial already leads far."""
    peak = measured(lambda size: (400 + size // 2) * MIB, 1000 * MIB)
    known, trials = search_batch_size(peak, strategy=strategy, budget=900 * MIB, base=399 * MIB)
    unknown, others = search_batch_size(peak, strategy=strategy, budget=900 * MIB)
    assert len(trials) <= most < len(others)
    assert known >= 0.98 * unknown
    assert all(trial.outcome != "out_of_memory" for trial in trials)


@quick
@given(
    strategy=strategies,
    base=st.floats(0, 400),
    held=st.floats(0, 1),
    slope=st.floats(0.01, 200),
    step=st.floats(0, 500),
    init_val=st.integers(1, 64),
)
def test_a_base_changes_the_trials_and_not_the_answer(strategy, base, held, slope, step, init_val):
    """Whatever share of it is held before the search: the answers are as good."""
    budget, peak = 900 * MIB, lambda size: int(MIB * max(step, base + slope * size))
    possible = largest(peak, budget)
    assume(0 < possible < 10_000)
    size, _ = search_batch_size(
        measured(peak, 1000 * MIB),
        strategy=STRATEGIES[strategy],
        init_val=init_val,
        budget=budget,
        base=int(held * base * MIB),
        max_trials=MANY,
    )
    share = {"binsearch": 1.0, "predictive": 0.95, "power": 0.5}[strategy]
    assert share * possible - 1 <= size <= possible


def test_binsearch_ends_where_peaks_cannot_tell_sizes_apart():
    """On a CPU peaks of one size differ by more than samples take: more trials would only follow the noise."""
    noise = itertools.cycle((0, 9, 2, 12, 5))
    size, trials = search_batch_size(
        lambda size: (100 + size + next(noise)) * MIB, strategy="binsearch", init_val=64, budget=900 * MIB
    )
    assert 0.95 * 800 <= size <= 800
    assert len(trials) <= 9


def test_a_good_estimate_saves_trials():
    """Three trials, none of which runs out of memory."""
    peak = lambda size: int(MIB * max(200, 100 + 0.8 * size))  # noqa: E731
    for guess in (800, 1000, 1300):
        size, trials = search_batch_size(measured(peak, 1000 * MIB), budget=900 * MIB, first_guess=guess)
        assert 950 <= size <= 1000
        assert len(trials) == 3
        assert all(trial.fits for trial in trials)


def test_a_trial_beyond_the_budget_ran_but_does_not_fit():
    """It is told apart from one that ran out of memory."""
    size, trials = search_batch_size(lambda size: size, strategy="binsearch", budget=10)
    assert size == 10
    assert [(trial.batch_size, trial.outcome) for trial in trials][-1] == (11, "over_budget")
    assert trials[-1].peak_bytes == 11


def test_a_probe_may_return_a_whole_measurement():
    """Peak and step times stand in the trial; throughput is that of the fastest step after the first."""
    _, trials = search_batch_size(lambda size: Measurement(size, (9.0, 2.0, 4.0)), max_val=4)
    assert trials[0].step_seconds == (9.0, 2.0, 4.0)
    assert trials[0].samples_per_second == trials[0].batch_size / 2.0
    assert BatchSizeTrial(batch_size=1, outcome="fits", seconds=0, step_seconds=(1.0,)).samples_per_second is None


def test_a_limit_below_the_budget_is_found_by_its_errors():
    """Where something else than the budget sets the limit, the line leads nowhere, and the search bisects."""

    def probe(size):
        if size > 300:
            raise MemoryError
        return size * MIB

    size, _ = search_batch_size(probe, budget=2000 * MIB)
    assert 0.95 * 300 - 1 <= size <= 300


@quick
@given(strategy=strategies, peak=worlds, limit=sizes, init_val=st.integers(1, 64))
def test_errors_that_the_line_does_not_know_of(strategy, peak, limit, init_val):
    """Where sizes fail that memory's line is sure about, the search still ends well."""

    def probe(size):
        if size > limit:
            raise MemoryError
        return peak(size)

    budget = 100_000 * MIB
    possible = min(limit, largest(peak, budget))
    size, _ = search_batch_size(probe, strategy=STRATEGIES[strategy], init_val=init_val, budget=budget, max_trials=MANY)
    share = {"binsearch": 1.0, "predictive": 0.95, "power": 0.5}[strategy]
    assert share * possible <= size <= possible


class OwnError(Exception):
    """What the user's own code raises."""


@st.composite
def troubles(draw):
    """The sizes that cannot be used: too small, too large, holes."""
    low, high = draw(st.integers(1, 200)), draw(st.none() | st.integers(100, 5000))
    step = draw(st.none() | st.integers(3, 50))
    return lambda size: size < low or (high is not None and size > high) or bool(step and size % step == 1)


def troubled(limit, is_bad, tried):
    """A probe whose own code fails with some sizes."""

    def probe(size):
        tried.append(size)
        if is_bad(size):
            raise OwnError(f"not with {size}")
        if size > limit:
            raise MemoryError(f"{size} samples do not fit")

    return probe


@quick
@given(
    limit=sizes,
    is_bad=troubles(),
    init_val=sizes,
    present=st.none() | sizes,
    max_val=maybe_max,
    max_trials=st.integers(1, 40),
    strategy=strategies,
    margin=margins,
)
def test_sizes_that_cannot_be_used(limit, is_bad, init_val, present, max_val, max_trials, strategy, margin):
    """The answer was run and can be used; no size is run twice; the user's error comes out only if nothing
    worked, or the present size has it, too.
    """
    tried = []
    probe = troubled(limit, is_bad, tried)
    arguments = {"init_val": init_val, "present": present, "max_val": max_val, "max_trials": max_trials}
    try:
        size, trials = search_batch_size(probe, strategy=STRATEGIES[strategy], margin=margin, **arguments)
    except BatchSizeError:
        assert not any(size <= limit or is_bad(size) for size in tried)
    except OwnError:
        assert any(map(is_bad, tried))
        assert not any(size <= limit and not is_bad(size) for size in tried) or is_bad(present)
    else:
        assert size in tried
        assert not is_bad(size)
        assert size <= limit
        assert {t.batch_size for t in trials if t.outcome == "cannot_be_used"} == set(filter(is_bad, tried))
    assert len(tried) == len(set(tried)) <= max_trials


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_too_small_sizes_are_passed(strategy):
    """If the first sizes cannot be used the search goes on from a larger one, as far as without them."""
    for present in (None, 20, 48):
        found = search_batch_size(
            troubled(1000, lambda size: size < 20, []), strategy=STRATEGIES[strategy], present=present, max_val=640
        )[0]
        assert found >= 320


@pytest.mark.parametrize("strategy", ["binsearch", "predictive"])
def test_a_maximum_of_the_users_own_is_a_limit(strategy):
    """Sizes above the user's own maximum cannot be used; the largest below it is found."""
    found, _ = search_batch_size(troubled(10**6, lambda size: size > 100, []), strategy=STRATEGIES[strategy])
    assert found == 100


def test_a_hole_is_no_limit():
    """A size that cannot be used while the one below it fits does not end the search."""
    found, _ = search_batch_size(troubled(512, lambda size: size == 16, []), strategy=STRATEGIES["power"], max_val=512)
    assert found >= 256


def test_an_error_of_the_present_size_is_the_users_own():
    """It comes out as it is, with a note of the sizes, after two trials."""
    tried = []
    with pytest.raises(OwnError) as caught:
        search_batch_size(troubled(1000, lambda size: True, tried), strategy=STRATEGIES["power"], present=16)
    assert tried == [2, 16]
    assert "batch size 2, 16 (the present one)" in caught.value.__notes__[0]
    assert caught.value.__context__ is None


def test_an_error_of_ours_ends_the_search():
    """Only the user's own errors make a size unusable."""

    def probe(size):
        raise PluginError("no")

    with pytest.raises(PluginError):
        search_batch_size(probe, strategy=STRATEGIES["power"])
