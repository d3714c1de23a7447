"""The built-in suggesters and strategies pass the kit that plugin authors use, and the kit sees what is broken."""

import itertools
import math

import pytest
from pydantic import BaseModel

from lit_autotune import BatchSizeStrategy, LRSuggester, LRSuggestionError
from lit_autotune.registry.registry import Registry
from lit_autotune.testing import (
    BATCH_SIZE_STRATEGY_CHECKS,
    LR_SUGGESTER_CHECKS,
    check_batch_size_strategy,
    check_lr_suggester,
)

REGISTRY = Registry.load()
BUILT_IN = {plugin.name for plugin in REGISTRY.plugins if plugin.distribution == "lit-autotune"}
SUGGESTERS = [suggester for suggester in REGISTRY.suggesters if suggester.name in BUILT_IN]
STRATEGIES = [REGISTRY.strategy(name) for name in ("binsearch", "power", "predictive")]


class Fraction(BaseModel):
    """Options with a default."""

    fraction: float = 0.1


class Needy(BaseModel):
    """Options that cannot be left out."""

    fraction: float


def lowest(curve, divisor=10.0):
    """A rule with nothing wrong with it."""
    rates, losses = curve.finite()
    if losses.index(min(losses)) == 0:
        raise LRSuggestionError("the loss is lowest at the first rate")
    return rates[losses.index(min(losses))] / divisor


def doubling(space):
    """A search with nothing wrong with it."""
    size = space.init_val
    while not (yield size).fits:
        if size == 1:
            return
        size //= 2
    while 2 * size in space and (yield 2 * size).fits:
        size *= 2


@pytest.mark.parametrize("suggester", SUGGESTERS, ids=lambda suggester: suggester.name)
@pytest.mark.parametrize("check", LR_SUGGESTER_CHECKS)
def test_built_in_suggester_conforms(suggester, check):
    """Each built-in learning-rate rule passes each check."""
    check(suggester)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("check", BATCH_SIZE_STRATEGY_CHECKS)
def test_built_in_strategy_conforms(strategy, check):
    """Each built-in batch-size strategy passes each check."""
    check(strategy)


def test_all_built_ins_are_covered():
    """No built-in suggester or strategy is left out above."""
    offered = {offer for plugin in REGISTRY.plugins if plugin.name in BUILT_IN for offer in plugin.provides}
    covered = {f"suggester {suggester.name}" for suggester in SUGGESTERS}
    covered |= {f"batch-size strategy {strategy.name}" for strategy in STRATEGIES}
    assert offered == covered | {"step batch_size", "step learning_rate", "step comparison"}


def test_checks_have_readable_names():
    """Test ids made of the checks say what is checked."""
    names = [check.__name__ for check in (*LR_SUGGESTER_CHECKS, *BATCH_SIZE_STRATEGY_CHECKS)]
    assert len(set(names)) == len(names)
    assert {"survives_a_flat_curve", "goes_down_to_one"} <= set(names)


def test_good_third_party_records_pass():
    """The kit asks for no more than the documented contract, options with defaults included."""
    check_lr_suggester(LRSuggester("lowest", lowest, ""))
    by_fraction = LRSuggester("lowest", lambda curve, options: lowest(curve, 1 / options.fraction), "", Fraction)
    check_lr_suggester(by_fraction)
    check_batch_size_strategy(BatchSizeStrategy("doubling", doubling, ""))


ANSWERS = itertools.cycle((1e-3, 2e-3))


def flips(curve):
    """Another answer every time."""
    return next(ANSWERS)


def blind_to_nan(curve):
    """Takes points without a loss at face value."""
    return lowest(curve) if all(map(math.isfinite, curve.losses)) else math.nan


def logarithm(curve):
    """Fails where the loss is negative."""
    return math.exp(math.log(min(curve.finite()[1]))) and 1e-3


def never_flat(curve):
    """Divides by the height of the curve."""
    losses = curve.finite()[1]
    return 1e-3 * (max(losses) - min(losses)) / (max(losses) - min(losses))


def many_points(curve):
    """Needs more points than are promised."""
    return curve.finite()[0][60]


def refuses(curve):
    """Never has an answer."""
    raise LRSuggestionError("no")


@pytest.mark.parametrize(
    ("suggest", "complaint"),
    [
        (lambda curve: 0, "gave 0 on a valley, not a positive number"),
        (lambda curve: -1e-3, "not a positive number"),
        (lambda curve: math.inf, "not a positive number"),
        (lambda curve: None, "gave None"),
        (lambda curve: True, "gave True"),
        (lambda curve: "1e-3", "not a positive number"),
        (lambda curve: 1e-8, "not within 1e-5..1e-1"),
        (lambda curve: 1.0, "not within 1e-5..1e-1"),
        (refuses, "has no answer on a valley"),
        (flips, "on the same curve"),
        (never_flat, "ZeroDivisionError on a flat curve"),
        (many_points, "IndexError on few falling points"),
        (blind_to_nan, "gave nan on missing losses"),
        (logarithm, "ValueError on negative losses"),
    ],
)
def test_broken_suggester_is_caught(suggest, complaint):
    """A rule that breaks the contract fails the kit, in one line with its name and what it did."""
    with pytest.raises(AssertionError, match=r"^broken: [^\n]*$") as caught:
        check_lr_suggester(LRSuggester("broken", suggest, ""))
    assert complaint in str(caught.value)


def test_option_without_default_is_caught():
    """All suggesters run on every curve, so that one whose options must be given would always fail."""
    with pytest.raises(AssertionError, match=r"needy: ConfigError .*fraction"):
        check_lr_suggester(LRSuggester("needy", lambda curve, options: 1e-3, "", Needy))


def asks_for(*sizes):
    """A search that asks for these and then ends."""

    def search(space):
        for size in sizes:
            _ = yield size

    return search


def repeats(space):
    """Asks for the same for ever."""
    while True:
        yield 1


def creeps(space):
    """Goes up one by one, past every limit."""
    for size in itertools.count(space.init_val):
        if size in space:
            yield size


def never_down(space):
    """Gives up if the first size does not fit."""
    size = space.init_val
    while (yield size).fits and 2 * size in space:
        size *= 2


def stops_at_two(space):
    """Goes down, but not to the end."""
    size = space.init_val
    while not (yield size).fits and size > 2:
        size //= 2


def from_the_top(space):
    """Begins with a guess far above the first size."""
    size = min(space.max_val or 10**6, 10**6)
    while not (yield size).fits and size > 1:
        size //= 2


def crashes(space):
    """Has a bug."""
    yield space.init_val
    raise KeyError("size")


def trusts_the_estimate(space):
    """Tries the estimate, and nothing else."""
    if not space.first_guess:
        yield from doubling(space)
    elif not (yield space.first_guess).fits:
        return


def divides_by_the_peak(space):
    """Takes the first peak for what two samples need."""
    trial = yield space.init_val
    if trial.peak_bytes is None:
        yield from doubling(space)
    else:
        yield 2 * space.budget // trial.peak_bytes / 2


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("search", "complaint"),
    [
        (asks_for(0), "search must yield at least 1, not 0"),
        (asks_for(-4), "not -4"),
        (asks_for(1, 10**6), "at most space.max_val = 64, not 1000000"),
        (asks_for(), "without asking for a single size"),
        (repeats, "keeps asking"),
        (creeps, "does not end within 25 trials"),
        (never_down, "although 1 fits"),
        (stops_at_two, "although 1 fits"),
        (from_the_top, "no answer after 4 trials"),
        (crashes, "KeyError: 'size'"),
        (lambda space: [2, 4], "search must be a generator, not return list"),
        (trusts_the_estimate, "no answer with first_guess 160 although 100 fits the budget"),
        (divides_by_the_peak, "search must yield int, not 1.5 of type float"),
    ],
)
def test_broken_strategy_is_caught(search, complaint):
    """A search that breaks the contract, or never ends, fails the kit in one line with its name and what it did."""
    with pytest.raises(AssertionError, match=r"^broken: [^\n]*$") as caught:
        check_batch_size_strategy(BatchSizeStrategy("broken", search, ""))
    assert complaint in str(caught.value)
