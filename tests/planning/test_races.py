"""Races around a suggestion: climbing to the best of neighbouring rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_autotune.planning.preview import Preview
from lit_autotune.planning.races import FACTOR, RUNS, Race, lowering


def preview(score, spread=0.0):
    """A preview of a training that began at a loss of 2, with scores that differ from batch to batch."""
    scores = () if math.isinf(score) else tuple(score + spread * (-1) ** i for i in range(8))
    return Preview(losses=(2.0,) * 10, before=2.0, scores=scores)


def raced(run, center, share=0.25):
    """A race that goes through a share of the training."""
    return Race(run, center, share)


class Runs:
    """Training that ends lowest at ``best`` and diverges from ``limit`` on; remembers what it was asked for."""

    def __init__(self, best, limit=math.inf, width=1.0):
        self.best, self.limit, self.width = best, limit, width
        self.asked = []

    def __call__(self, rate):
        self.asked.append(rate)
        away = abs(math.log10(rate / self.best)) / self.width
        return preview(math.inf if rate >= self.limit else 2 - 1.5 / (1 + away**2))


@pytest.mark.parametrize(("away", "runs"), [(0, 3), (1, 3), (-1, 4), (2, 4), (-2, 4)])
def test_it_climbs_to_the_best(away, runs):
    """Up while the next higher rate is better, else down; a few runs at the most."""
    asked = Runs(best=1e-2)
    race = raced(asked, 1e-2 * FACTOR**-away)
    assert race.best == pytest.approx(1e-2)
    assert len(asked.asked) == len(set(asked.asked)) == runs


def test_the_verdict_is_a_little_lower_than_the_best():
    """Short trainings are won by rates that are too high for the whole: half a step lower for a quarter of it."""
    race = raced(Runs(best=1e-2), 1e-2)
    assert race.verdict == pytest.approx(1e-2 * 0.66, rel=1e-2)
    assert min(race.runs) < race.verdict < race.best


def test_the_shorter_the_race_the_lower_the_verdict():
    """Nothing is taken off for the whole training; no more than for the shortest races that were recorded."""
    verdicts = [raced(Runs(best=1e-2), 1e-2, share).verdict for share in (1.0, 0.5, 0.25, 0.05)]
    assert verdicts == sorted(verdicts, reverse=True)
    assert verdicts[0] == pytest.approx(1e-2)
    assert raced(Runs(best=1e-2), 1e-2, 1e-4).verdict == verdicts[-1] > 1e-2 / FACTOR**2


def test_of_equals_the_lowest():
    """What differs by less than 2 % of the fall is equal."""
    race = raced(Runs(best=1e-2, width=20.0), 1e-2)
    assert race.verdict == pytest.approx(min(race.runs) * lowering(0.25))


def test_runs_are_limited():
    """Far from the best rate it ends with the best so far, at the edge: not half of it."""
    runs = Runs(best=1.0)
    race = raced(runs, 1e-7)
    assert len(runs.asked) == RUNS
    assert race.best == max(runs.asked)


def test_a_diverging_run_never_wins():
    """A worse one that does not explode is preferred, and comes before it."""
    race = raced(Runs(best=1e-1, limit=2e-2), 1e-2)
    assert race.best == 1e-2
    assert race.heats[-1].score == math.inf
    assert race.heats[-1].outcome == "diverged"


def test_all_diverge():
    """Then there is no verdict."""
    race = raced(Runs(best=1e-2, limit=0.0), 1e-2)
    assert race.verdict is None
    assert race.heats[0].learning_rate == min(race.runs)


@given(
    scores=st.lists(st.floats(0.1, 3.0) | st.just(math.inf), min_size=RUNS + 2, max_size=RUNS + 2),
    spread=st.floats(0, 1),
)
def test_whatever_the_scores(scores, spread):
    """No rate is run twice, the verdict lies below one that was run and is no worse than noise."""
    left = list(scores)
    race = raced(lambda rate: preview(left.pop(), spread), 1e-3)
    assert 3 <= len(race.runs) <= RUNS
    assert [heat.score for heat in race.heats] == sorted(heat.score for heat in race.heats)
    if race.verdict is None:
        assert all(math.isinf(run.score) for run in race.runs.values())
    else:
        assert any(race.verdict == pytest.approx(rate * lowering(0.25)) for rate in race.runs if rate <= race.best)
