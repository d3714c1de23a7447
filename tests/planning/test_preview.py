"""When one preview is better than another, and how long previews may be. Pure numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_autotune.comparison.candidates import Candidate, verdict
from lit_autotune.planning.plan import plan_training
from lit_autotune.planning.preview import (
    FREE_STEPS,
    MOST_SECONDS,
    MOST_SHARE,
    SECONDS,
    Preview,
    fall,
    is_better,
    preview_steps,
)


def preview(*scores, before=2.0, course=(), steps=200, batch_seconds=0.1):
    return Preview(losses=(1.0,) * steps, before=before, scores=scores, course=course, batch_seconds=batch_seconds)


def test_lower_beyond_noise_is_better():
    """Batches are paired: a small gap that all of them have counts, a large one that they do not share does not."""
    old = preview(1.0, 0.5, 1.5, 1.0)
    assert is_better(preview(0.9, 0.4, 1.4, 0.9), old, scale=1.0)
    assert not is_better(old, preview(0.9, 0.4, 1.4, 0.9), scale=1.0)
    assert not is_better(preview(0.2, 1.2, 0.6, 1.6), old, scale=1.0)
    assert not is_better(preview(0.99, 0.49, 1.49, 0.99), old, scale=1.0)  # less than 2 % of the fall
    assert not is_better(old, old, scale=1.0)


def test_what_diverged_is_worse_than_anything():
    """And no better than something else that diverged."""
    lost = preview()
    assert math.isinf(lost.score)
    assert is_better(preview(5.0), lost, scale=0.0)
    assert not is_better(lost, preview(5.0), scale=0.0)
    assert not is_better(lost, lost, scale=0.0)


def test_a_loss_that_is_rising_already_is_not_better():
    """It overfits, and will do so more in the rest of the training; against another that does it is judged as usual."""
    rising = preview(0.8, course=(0.70, 0.75, 0.80, 0.85, 0.90))
    steady = preview(1.0, course=(1.2, 1.1, 1.05, 1.0, 0.95))
    assert rising.rises
    assert not steady.rises
    assert not is_better(rising, steady, scale=1.0)
    assert is_better(rising, preview(1.0, course=(0.9, 0.95, 1.0, 1.05, 1.1)), scale=1.0)
    assert not preview(1.0, course=(0.9, 1.0)).rises


@pytest.mark.parametrize(
    ("score", "size", "seconds", "steps", "expected"),
    [
        (0.5, 32, 0.1, 200, "better"),
        (1.5, 32, 0.1, 200, "worse"),
        (1.0, 32, 0.1, 200, "as good"),
        (1.0, 64, 0.1, 200, "as good and faster"),  # half as many batches of the same time
        (1.0, 64, 0.2, 200, "as good"),
        (1.0, 64, 0.1, 40, "as good"),  # too few steps to prove it
        (1.5, 64, 0.1, 200, "worse"),
    ],
)
def test_verdicts(score, size, seconds, steps, expected):
    """Better, or as good and faster by another batch size, or neither."""
    plan = plan_training(100, 32, max_epochs=10)
    old = Candidate("present", 32, 1e-3, plan, preview(1.0))
    new = Candidate("new", size, 1e-2, plan.resized(size), preview(score, steps=steps, batch_seconds=seconds))
    assert verdict(new, old, 1.0, present=old) == expected


def test_a_larger_batch_may_lag_a_little_behind_if_it_is_better_than_the_present():
    """At the beginning small batches always lead; what is there now is the bar that counts."""
    plan = plan_training(100, 32, max_epochs=10)
    old = Candidate("present", 32, 1e-3, plan, preview(1.5))
    rate = Candidate("new rate", 32, 1e-2, plan, preview(1.0))
    new = Candidate("new", 64, 1e-2, plan.resized(64), preview(1.05))
    assert verdict(new, rate, 1.0, present=old) == "as good and faster"
    assert verdict(new, rate, 1.0, present=rate) == "worse"
    assert verdict(Candidate("new rate", 32, 2e-2, plan, preview(1.05)), rate, 1.0, present=old) == "worse"


@pytest.mark.parametrize(
    ("steps", "seconds", "runs", "expected"),
    [
        (1_000, 1e-4, 3, 500),  # quick: half of the training each
        (10, 1e-4, 3, 10),  # the whole of a training of few steps
        (1_000, 0.01, 3, 166),  # 7 seconds in all
        (100_000, 0.01, 3, 520),  # 2 % of the training are 20 seconds; rounded to 1/192
        (10_000_000, 0.1, 3, 1627),  # ten minutes
        (100, 3.0, 3, 20),  # 7 seconds are nothing, but together they take no more steps than a range test
        (100, 3.0, 6, 0),
        (100, 300.0, 3, 0),
        (None, 0.1, 3, 23),  # without an end there is no share of it
    ],
)
def test_how_long_previews_are(steps, seconds, runs, expected):
    """A share of the training: at least some seconds, at most ten minutes, in all."""
    assert preview_steps(steps, seconds, runs, budget=0.02) == expected


@given(
    steps=st.none() | st.integers(0, 10**7),
    seconds=st.floats(1e-5, 10),
    runs=st.integers(1, 8),
    budget=st.floats(0, 1),
    spent=st.floats(0, 100),
)
def test_previews_keep_to_the_budget(steps, seconds, runs, budget, spent):
    """They take neither more time than they may, nor more of the training; a larger budget is never a shorter one.

    The shortest ones may always take as many steps as a range test.
    """
    count = preview_steps(steps, seconds, runs, budget, spent=spent)
    whole = 0.0 if steps is None else steps * seconds
    allowed = min(max(SECONDS, budget * whole), MOST_SECONDS) * 1.001
    assert runs * count * seconds <= allowed or (runs * count <= FREE_STEPS and count <= 20)
    if steps is not None:
        assert count <= max(math.ceil(MOST_SHARE * steps), min(20, steps))
    assert preview_steps(steps, seconds, runs, 1.0, spent=spent) >= count


@given(st.lists(st.floats(-5, 5) | st.just(math.inf), min_size=1, max_size=5), st.floats(-5, 5))
def test_the_fall_is_never_negative(scores, before):
    """Also where all diverged, or nothing fell."""
    previews = [preview(*([] if math.isinf(score) else [score]), before=before) for score in scores]
    assert 0 <= fall(previews) < math.inf
