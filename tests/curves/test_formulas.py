"""The mathematics of the range test: ladder, smoothing, slopes and the divergence monitor."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_autotune.curves.formulas import DivergenceMonitor, log_slopes, lr_ladder, smooth

quick = settings(deadline=None, max_examples=60)
rates = st.floats(1e-12, 1e3, allow_subnormal=False)
offsets = st.sampled_from([-1e6, -50.0, -1.0, -1e-6, 0.0, 1e-6, 0.7, 2.3, 1e6])

NOISY = [
    (0.0, 1.0),
    (1e-6, 0.1),
    (-1e-6, 0.1),
    (2.3, 0.1),
    (2.3, 2.0),
    (-1.0, 0.1),
    (-50.0, 1.0),
    (1e6, 1.0),
    (-1e6, 1.0),
]
"""Offset of the loss and size of its noise."""


def stops_at(losses):
    """Index of the loss at which the monitor says stop, ``None`` if it never does."""
    monitor = DivergenceMonitor()
    return next((i for i, loss in enumerate(losses) if monitor.update(loss)), None)


def noise(count, seed, scale=1.0):
    """Ordinary noise around zero."""
    generator = random.Random(seed)
    return [scale * generator.gauss(0, 1) for _ in range(count)]


@quick
@given(low=rates, decades=st.floats(0.1, 12), steps=st.integers(2, 300))
def test_ladder_runs_from_end_to_end(low, decades, steps):
    """The ladder has as many rungs as asked for, begins and ends exactly where asked, and climbs all the way."""
    high = low * 10**decades
    ladder = lr_ladder(low, high, steps)
    assert len(ladder) == steps
    assert (ladder[0], ladder[-1]) == (low, high)
    assert all(below < above for below, above in itertools.pairwise(ladder))


@quick
@given(low=rates, decades=st.floats(0.1, 12), steps=st.integers(3, 300))
def test_ladder_is_spaced_evenly_in_the_logarithm(low, decades, steps):
    """Each rung is the same factor above the one before."""
    ladder = lr_ladder(low, low * 10**decades, steps)
    factor = decades * math.log(10) / (steps - 1)
    assert [math.log(b / a) for a, b in itertools.pairwise(ladder)] == pytest.approx([factor] * (steps - 1), rel=1e-6)


def test_ladder_by_hand():
    """Five steps over four decades are a decade each."""
    assert lr_ladder(1e-4, 1.0, 5) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


@quick
@given(centre=st.integers(30, 70), width=st.floats(2, 15), sign=st.sampled_from([-1, 1]))
def test_smoothing_has_no_lag(centre, width, sign):
    """A symmetric bump or dip stays where it is, and symmetric."""
    bump = [sign * math.exp(-(((i - centre) / width) ** 2)) for i in range(101)]
    smoothed = smooth(bump)
    assert max(range(101), key=lambda i: sign * smoothed[i]) == centre
    left, right = smoothed[centre - 15 : centre], smoothed[centre + 1 : centre + 16]
    assert left == pytest.approx(right[::-1], abs=1e-9)


@quick
@given(slope=st.floats(-10, 10), start=st.floats(-100, 100))
def test_smoothing_keeps_a_ramp(slope, start):
    """Away from the ends a straight line stays that very line."""
    ramp = [start + slope * i for i in range(60)]
    assert smooth(ramp)[15:-15] == pytest.approx(ramp[15:-15], abs=1e-9)


@quick
@given(value=st.floats(-1e6, 1e6), count=st.integers(1, 50))
def test_smoothing_keeps_a_constant(value, count):
    """A constant stays constant, the ends and short curves included."""
    assert smooth([value] * count) == pytest.approx([value] * count)


@quick
@given(at=st.integers(3, 56), width=st.integers(1, 2), height=st.sampled_from([-1e6, 50.0, 1e12]))
def test_smoothing_removes_spikes(at, width, height):
    """One or two wild losses leave no trace on a flat curve."""
    spiked = [1.0] * 60
    spiked[at : at + width] = [height] * width
    assert smooth(spiked) == pytest.approx([1.0] * 60)


def test_smoothing_calms_noise():
    """Noise becomes a good deal smaller."""
    rough = noise(500, seed=0)
    calm = smooth(rough)
    assert sum(x * x for x in calm) < sum(x * x for x in rough) / 4


@quick
@given(
    logs=st.lists(st.floats(-20, 5), min_size=2, max_size=40, unique_by=lambda x: round(x, 2)),
    slope=st.floats(-100, 100),
    offset=st.floats(-100, 100),
)
def test_slopes_are_exact_where_the_loss_is_linear_in_the_log_rate(logs, slope, offset):
    """The slope is per natural logarithm of the rate, whatever the spacing, the ends included."""
    logs = sorted(round(log, 2) for log in logs)
    losses = [offset + slope * log for log in logs]
    slopes = log_slopes([math.exp(log) for log in logs], losses)
    assert slopes == pytest.approx([slope] * len(logs), rel=1e-6, abs=1e-6)


def test_slopes_by_hand():
    """Inside it is the central difference, at the ends the one-sided one."""
    assert log_slopes([1, math.e, math.e**3], [0, 1, 9]) == pytest.approx([1, 3, 4])


@pytest.mark.parametrize(("offset", "scale"), NOISY)
def test_noise_on_a_flat_loss_is_no_divergence(offset, scale):
    """Losses that only jitter never stop the test, whatever their sign and size."""
    stopped = [seed for seed in range(100) if stops_at([offset + x for x in noise(200, seed, scale)]) is not None]
    assert stopped == []


@pytest.mark.parametrize(("offset", "scale"), NOISY)
def test_a_noisy_fall_is_no_divergence(offset, scale):
    """Losses that fall, and jitter while they do, never stop the test."""
    fall = [offset - 20 * scale / (1 + math.exp(-(i - 60) / 8)) for i in range(120)]
    curves = {seed: [loss + x for loss, x in zip(fall, noise(120, seed, scale), strict=True)] for seed in range(100)}
    assert [seed for seed, losses in curves.items() if stops_at(losses) is not None] == []


@quick
@given(value=offsets)
def test_a_constant_loss_is_no_divergence(value):
    """A loss that never moves, zero included, never stops the test."""
    assert stops_at([value] * 200) is None


def test_one_wild_loss_before_calm_is_no_divergence():
    """A first loss far below all others, which says nothing about the trend, does not stop a falling test."""
    assert stops_at([2.0, 2.6, *(2.5 - 0.01 * i for i in range(100))]) is None


@quick
@given(start=st.sampled_from([2.3, -50.0, -1.0, 0.0, 1e-9, -1e-9, 1e4]), fall=st.booleans())
def test_explosions_stop_the_test(start, fall):
    """A loss that runs away stops the test soon, whether it began positive, negative or near zero."""
    size = max(abs(start), 1.0)
    calm = [start - (0.3 * size * i / 40 if fall else 0) for i in range(40)]
    exploding = [start + size * 2.0**i for i in range(60)]
    stopped = stops_at([loss + 0.01 * size * (-1) ** i for i, loss in enumerate(calm + exploding)])
    assert stopped is not None
    assert 40 <= stopped < 52


@pytest.mark.parametrize("sign", [1, -1])
def test_explosion_from_the_first_step_stops(sign):
    """A first rate that is far too high is noticed, too."""
    assert stops_at([sign * 1.0 + 10.0**i for i in range(30)]) is not None


@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf])
def test_a_few_missing_losses_are_ignored(missing):
    """Losses that are no numbers do not count, nor do four of them in a row."""
    losses = [1 - 0.01 * i for i in range(50)]
    losses[0] = losses[20] = missing
    losses[30:34] = [missing] * 4
    assert stops_at(losses) is None


@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("before", [0, 3, 20])
def test_five_missing_losses_in_a_row_stop(missing, before):
    """A loss that stays no number has diverged."""
    assert stops_at([1.0] * before + [missing] * 10) == before + 4


def test_missing_losses_must_be_in_a_row():
    """A number in between starts the count anew."""
    assert stops_at([1.0, math.nan] * 50) is None


def test_explosion_after_a_missing_loss_still_stops():
    """A missing loss neither hides what comes after it nor what was before."""
    losses = [1.0] * 20 + [math.nan] + [1 + 2.0**i for i in range(20)]
    assert stops_at(losses) is not None
