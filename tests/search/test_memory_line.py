"""Memory's line through measured peaks: what it promises, and when it is believed."""

from hypothesis import assume, given
from hypothesis import strategies as st

from lit_autotune.search.memory_line import MemoryModel
from lit_autotune.types import BatchSizeTrial

BUDGET = 10_000


def model(peaks, budget=BUDGET):
    """The model of some sizes with their peaks in bytes."""
    trials = [BatchSizeTrial(batch_size=size, outcome="fits", seconds=1, peak_bytes=peaks[size]) for size in peaks]
    return MemoryModel.of(trials, budget)


convex = st.builds(
    lambda base, slope, step: lambda size: int(max(step, base + slope * size)),
    base=st.integers(1, 6000),
    slope=st.integers(1, 500),
    step=st.integers(0, 8000),
)
some_sizes = st.sets(st.integers(1, 1000), min_size=2, max_size=6)


def test_no_model_without_a_budget_or_a_peak():
    """There is nothing to follow, or nowhere to."""
    assert model({2: None, 4: None}) is None
    assert model({2: 100}, budget=None) is None


def test_a_line_is_followed_to_the_budget():
    """Three sizes on one line are sure; two are not."""
    assert (model({10: 2000, 20: 3000}).largest, model({10: 2000, 20: 3000}).sure) == (90, False)
    assert (model({10: 2000, 20: 3000, 30: 4000}).largest, model({10: 2000, 20: 3000, 30: 4000}).sure) == (90, True)


def test_slopes_that_disagree_are_not_believed():
    """Below the knee the optimizer's step decides the peak."""
    assert not model({10: 3000, 20: 3100, 40: 4000}).sure


def test_exact_peaks_are_believed_even_where_memory_has_hardly_grown():
    """Slopes that agree show that there is no noise."""
    assert model({2: 1020, 8: 1080, 32: 1320}).largest == 900
    assert model({8: 1080, 32: 1320}).largest is None


def test_between_a_size_that_fits_and_one_that_does_not_the_line_is_sure():
    """Sizes further beyond the budget are left out: they say less of where it is met."""
    crossing = model({10: 2000, 60: 7000, 100: 11_000, 400: 90_000})
    assert (crossing.largest, crossing.sure) == (90, True)


def test_peaks_that_fall_promise_nothing():
    """Some kernels take less for larger batches."""
    assert model({4: 5000, 8: 4000}).largest is None
    assert model({4: 11_000}).largest is None


@given(peak=convex, sizes=some_sizes)
def test_a_convex_peak_is_never_promised_too_little(peak, sizes):
    """What ends the search: no size beyond the promise fits."""
    assume(any(peak(size) <= BUDGET for size in sizes))
    found = model({size: peak(size) for size in sizes})
    if found.largest is not None and found.points[-1][1] <= BUDGET:
        assert peak(found.largest + 2) > BUDGET


def test_what_is_there_without_a_sample_does_not_grow():
    """Beyond a base of 5000, 1000 for 10 samples: 50 fit at least. Without it twice as many as fit now might not."""
    trials = [BatchSizeTrial(batch_size=10, outcome="fits", seconds=1, peak_bytes=6000)]
    assert MemoryModel.of(trials, BUDGET, base=5000).certain == 50
    assert MemoryModel.of(trials, BUDGET).certain == 16
    # A peak that is hardly above the base may be noise.
    assert MemoryModel.of(trials, BUDGET, base=5999).certain == 250


def test_peaks_that_fall_show_the_noise():
    """Sizes whose peaks differ by less than that are not told apart, and memory has not grown by it."""
    noisy = model({10: 2000, 20: 3000, 30: 2400, 40: 3300})
    assert noisy.noise == 600
    assert (noisy.tells_apart(40, 46), noisy.tells_apart(40, 47)) == (False, True)
    assert model({10: 2000, 20: 3000}).tells_apart(20, 21)


@given(peak=convex, sizes=some_sizes)
def test_what_is_certain_fits(peak, sizes):
    """No peak grows faster than in proportion to the batch size."""
    certain = model({size: peak(size) for size in sizes}).certain
    assert certain == 0 or peak(certain) <= BUDGET
