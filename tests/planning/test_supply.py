"""What the data can fill, in plain numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_autotune.planning.supply import (
    Filling,
    Supply,
    estimated_samples,
    find_filling,
    largest_filled,
    within_limits,
)

PLAIN = Supply((4,), 100, False, 25, True, False, 0)
STREAM = Supply((4,), None, False, math.inf, False, True, 0)


@given(
    samples=st.integers(1, 3000),
    divisor=st.integers(1, 100),
    least=st.integers(1, 40),
    drops=st.booleans(),
)
def test_within_limits_leaves_batches(samples, divisor, least, drops):
    """The size found leaves as many batches as there have to be, whether or not the last one is dropped."""
    share = 1 / divisor
    size = within_limits(samples, share, least)
    assert 0 <= size <= samples
    if size:
        batches = samples // size if drops else math.ceil(samples / size)
        assert int(batches * share) >= least


@given(samples=st.integers(1, 5000), size=st.integers(1, 64), drops=st.booleans())
def test_samples_are_estimated_from_the_batches(samples, size, drops):
    """They are told from the batches of two sizes, but for less than a batch."""

    def batches(size):
        return samples // size if drops else math.ceil(samples / size)

    found = estimated_samples((size, batches(size)), (2 * size, batches(2 * size)), drops)
    if found is not None:
        assert abs(found - samples) < 2 * size
    elif batches(size) > 1:
        assert batches(size) == batches(2 * size) or batches(2 * size) == 0


@pytest.mark.parametrize("batches", [(10, 10), (10, math.inf), (10, 9)])
def test_batches_that_do_not_follow_the_size_tell_nothing(batches):
    """As many batches with any size, or an unknown number of them, say nothing of the samples."""
    assert estimated_samples((2, batches[0]), (4, batches[1])) is None


def test_several_loaders():
    """An epoch has a batch as long as one loader has, but each that drops its last one has to fill one."""
    other = PLAIN._replace(samples=30)
    assert largest_filled([PLAIN, other]) == 100
    assert largest_filled([PLAIN, other._replace(drops=True)]) == 30
    assert largest_filled([STREAM, other]) is None
    assert largest_filled([STREAM, other._replace(drops=True)]) == 30


def test_where_a_batch_grows():
    """The batch size itself is looked for first, then what is in proportion to it, then what grows."""
    one, other = {"time": 5, "rows": 20, "n": 2}, {"time": 10, "rows": 40, "n": 4}
    assert find_filling((2, one), (4, other), STREAM) == Filling("n", 1.0, True, True, 0)
    del one["n"]
    assert find_filling((4, other), (2, one), STREAM).place == "time"
    assert find_filling((2, {"rows": 17}), (4, {"rows": 41}), STREAM) == Filling("rows", 8.5, False, True, 0)
    assert find_filling((2, {"rows": 17}), (4, {"rows": 17}), STREAM) is None


def test_which_batches_are_full():
    """A short epoch's batch is not; one of a stream that goes on is; where samples vary only the end tells."""
    constant, varying = Filling("n", 1.0, True, True, 0), Filling("n", 8.5, False, True, 0)
    assert constant.needed([20], 32, ended=True) == 32
    assert constant.needed([32], 32, ended=True) is None
    assert constant.needed([30, 30], 32, ended=False) is None
    assert constant._replace(streams=False).needed([20, 20], 32, ended=False) == 32
    assert varying.needed([200], 32, ended=False) is None
    assert varying.needed([200], 32, ended=True) == 272
    assert varying._replace(workers=4).needed([200] * 3, 32, ended=False) is None
