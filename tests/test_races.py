"""Short paired races around a suggestion."""

import math

import pytest

from lit_autotune.races import FACTOR, race, verdict


class Runs:
    """Training that falls fastest at ``best`` and diverges from ``limit`` on; remembers what it was asked for."""

    def __init__(self, best, limit=math.inf, explosion=1e9):
        self.best, self.limit, self.explosion = best, limit, explosion
        self.asked, self.taken = [], 0

    def __call__(self, rate, steps):
        self.asked.append(rate)
        speed = 1 / (1 + abs(math.log10(rate / self.best)))
        for step in range(steps):
            self.taken += 1
            yield self.explosion**step if rate >= self.limit else 2 * math.exp(-speed * step / 50)


@pytest.mark.parametrize("away", [-1, 0, 1])
def test_the_best_of_three(away):
    """With the best in the middle, three are run; the one that ends lowest comes first."""
    runs = Runs(best=1e-2)
    heats = race(runs, 1e-2 * 1.5**away)
    assert heats[0].learning_rate == pytest.approx(1e-2 * 1.5**away)
    assert len(runs.asked) == 3
    assert runs.taken == 300
    assert [heat.score for heat in heats] == sorted(heat.score for heat in heats)


def test_the_verdict_is_half_of_the_best():
    """What leads early is too high later on; an order of magnitude is not changed by that."""
    heats = race(Runs(best=1e-2), 1e-2)
    assert verdict(heats) == pytest.approx(0.5e-2)
    assert verdict(heats) > min(heat.learning_rate for heat in heats)


@pytest.mark.parametrize(("center", "expected"), [(1e-2 / FACTOR**2, 5), (1e-2 * FACTOR**2, 5), (1e-2 * FACTOR, 4)])
def test_extends_at_an_edge(center, expected):
    """While the best is the lowest or the highest, one more is run beyond it."""
    runs = Runs(best=1e-2)
    assert race(runs, center)[0].learning_rate == pytest.approx(1e-2)
    assert len(runs.asked) == expected


def test_runs_are_limited():
    """Far from the best rate it ends after five runs with the best of them."""
    runs = Runs(best=1.0)
    assert race(runs, 1e-7)[0].learning_rate == max(runs.asked)
    assert len(runs.asked) == 5


@pytest.mark.parametrize("explosion", [1e9, math.nan, math.inf])
def test_a_diverging_run_is_stopped_and_never_wins(explosion):
    """A run that explodes is not trained to its end, and a worse one that does not explode is preferred."""
    runs = Runs(best=1e-1, limit=3e-2, explosion=explosion)
    heats = race(runs, 1e-2)
    assert heats[0].learning_rate == 1e-2
    assert heats[-1].score == math.inf
    assert len(heats[-1].losses) < 20


def test_all_diverge():
    """If all diverge, the lowest rate comes first and says so by its score."""
    heats = race(Runs(best=1e-2, limit=0.0), 1e-2)
    assert heats[0].learning_rate == min(heat.learning_rate for heat in heats)
    assert heats[0].score == math.inf
