"""Which of the sizes that fit trains fastest, and which more sizes are tried to find out."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_autotune.registry.registry import Registry
from lit_autotune.search.driver import search_batch_size
from lit_autotune.search.throughput import MORE_TRIALS, also_timed, fastest
from lit_autotune.types import BatchSizeTrial, Measurement

STRATEGIES = [Registry.load().strategy(name) for name in ("binsearch", "power", "predictive")]


def trial(size, rate, outcome="fits"):
    return BatchSizeTrial(
        batch_size=size, outcome=outcome, seconds=1, step_seconds=(60.0, size / rate, 2 * size / rate)
    )


def test_the_smallest_size_near_the_best_throughput():
    """Five percent below the best is as good; the first step, which warms up, does not count."""
    assert fastest([trial(64, 940), trial(128, 960), trial(256, 1000), trial(512, 990)]) == 128


def test_only_sizes_that_fit_count():
    """A size over the budget may have run fast."""
    assert fastest([trial(64, 500), trial(128, 1000, "over_budget")]) == 64


def test_nothing_timed():
    """One step is a warm-up, and says nothing."""
    assert fastest([]) is None
    assert fastest([BatchSizeTrial(batch_size=2, outcome="fits", seconds=1, step_seconds=(1.0,))]) is None


def searched(strategy, rate, largest):
    """Trials of a search without and with the sizes that are only timed."""

    def probe(size):
        if size > 1.1 * largest:
            raise MemoryError
        return Measurement(int(10**9 * (0.1 + 0.9 * size / largest)), (60.0, size / rate(size)))

    timed = replace(strategy, search=lambda space: also_timed(strategy.search(space)))
    return [search_batch_size(probe, strategy=each, budget=10**9) for each in (strategy, timed)]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@given(largest=st.integers(1, 5000), best=st.integers(1, 500), overhead=st.floats(0.1, 100), fall=st.floats(0, 0.3))
def test_a_few_more_sizes_find_the_fastest(strategy, largest, best, overhead, fall):
    """At most six more trials, the same largest size, and at most what twice the best size would cost is missed."""

    def rate(size):
        return size / (size + overhead) * (best / size if size > best else 1) ** fall

    (plain, without), (size, trials) = searched(strategy, rate, largest)
    assert size == plain
    assert len(trials) <= len(without) + MORE_TRIALS
    assert rate(fastest(trials)) >= 0.9 * 2**-fall * max(map(rate, range(1, size + 1)))
