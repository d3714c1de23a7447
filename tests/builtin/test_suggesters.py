"""What the built-in rules read off a curve, against independent implementations; asking all; the curve itself."""

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.tuner import lr_finder
from pydantic import BaseModel, ValidationError

from lit_autotune.builtin import consensus, drop, lightning, minimum, slide, steepest, valley
from lit_autotune.curves.formulas import before_divergence, lr_ladder, smooth
from lit_autotune.curves.points import LRSuggestion
from lit_autotune.curves.readings import last_harmless, steepness
from lit_autotune.errors import LRSuggestionError
from lit_autotune.range_test.suggestions import pick, suggest_all
from lit_autotune.types import LRCurve, LRSuggester

RULES = {rule.__name__.rpartition(".")[2]: rule.suggest for rule in (consensus, drop, minimum, slide, steepest, valley)}
SUGGESTERS = [LRSuggester(name, suggest, "") for name, suggest in RULES.items()]
RATES = lr_ladder(1e-8, 1.0, 100)
LOGS = np.log10(RATES)

quick = settings(deadline=None, max_examples=40)
rules = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def curve(losses, rates=RATES):
    """A curve of these losses."""
    return LRCurve(learning_rates=tuple(rates), losses=tuple(float(loss) for loss in losses))


def descent(seed=0, noise=0.01, at=-3.0):
    """A plateau, a fall of 2 whose middle is at ``10**at``, and an explosion from a tenth on; with noise."""
    losses = 2.3 - 2 / (1 + np.exp(-3 * (LOGS - at))) + np.exp(6 * (LOGS + 0.3))
    return losses + np.random.default_rng(seed).normal(0, noise, 100)


def numpy_smooth(losses):
    """Median of five, then a Gaussian of full width at half maximum 7, edges repeated; with numpy alone."""
    median = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(losses, 2, "edge"), 5), axis=1)
    sigma = 7 / np.sqrt(8 * np.log(2))
    kernel = np.exp(-(np.arange(-9, 10) ** 2) / (2 * sigma**2))
    return np.convolve(np.pad(median, 9, "edge"), kernel / kernel.sum(), "valid")


def numpy_consensus(losses, smoothed, rates, low):
    """The default rule, given ``valley``'s answer."""
    first = np.median(losses[: max(5, len(losses) // 10)])
    noise = np.median(np.abs(np.diff(losses)))
    limit = rates[smoothed <= first + noise / 2].max(initial=rates[0]) / 4
    lowest = np.argmin(smoothed)
    depth = first - smoothed[lowest]
    if depth < 2 * noise:
        return limit
    begun, fallen = (rates[np.argmax(smoothed <= first - share * depth)] for share in (0.3, 0.7))
    middle = np.clip(np.median([1.5 * fallen, 2 * low, rates[lowest] / 3]), 0.15 * fallen, 15 * fallen)
    width = max(np.log10(rates[lowest] / begun), np.log10(rates[1] / rates[0]))
    return min(middle, limit) * min(1, width / 0.9)


def fastai_valley(rates, losses):
    """The rule as fastai's notes have it, on its moving average, the longest decreasing subsequence step by step."""
    weights = 0.98 ** np.arange(len(losses))
    losses = np.array([np.average(losses[: i + 1], weights=weights[i::-1]) for i in range(len(losses))])
    part = slice(len(losses) // 10, -5)
    rates, losses = rates[part], losses[part]
    lengths = np.ones(len(losses), int)
    end = 0
    for i in range(len(losses)):
        for j in range(i):
            if losses[j] > losses[i]:
                lengths[i] = max(lengths[i], lengths[j] + 1)
        if lengths[i] > lengths[end]:
            end = i
    start = end - lengths[end]
    third = (end - start) / 3
    return rates[start + int(third) + int(third / 2)]


def test_smoothing_agrees_with_numpy():
    """The smoothed curve that all rules read is the one described."""
    assert smooth(list(descent())) == pytest.approx(numpy_smooth(descent()), rel=1e-9)


@quick
@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.003, 0.02, 0.1]), at=st.floats(-6, -2))
def test_rules_agree_with_numpy(seed, noise, at):
    """Each rule gives what an independent implementation gives, of the curve up to where it diverges."""
    whole = descent(seed, noise, at)
    losses = np.array(before_divergence(whole))
    rates = np.array(RATES[: len(losses)])
    smoothed = numpy_smooth(losses)
    lowest = int(np.argmin(smoothed))
    assert steepest.suggest(curve(whole)) == rates[np.argmin(np.gradient(smoothed, np.log(rates))[: lowest + 1])]
    assert minimum.suggest(curve(whole)) == pytest.approx(rates[lowest] / 10)
    low = fastai_valley(rates, losses)
    assert valley.suggest(curve(whole)) == low
    falls = np.maximum.accumulate(smoothed) - smoothed
    end = int(np.argmax(falls))
    start = int(np.argmax(smoothed[: end + 1]))
    fallen = rates[start:][np.argmax(smoothed[start:] <= smoothed[start] - 0.7 * falls[end])]
    assert drop.suggest(curve(whole)) == pytest.approx(np.clip(2 * fallen, low, 5 * low))
    assert consensus.suggest(curve(whole)) == pytest.approx(numpy_consensus(losses, smoothed, rates, low))


@quick
@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.003, 0.02, 0.1]), at=st.floats(-6, -2))
def test_lightning_is_what_lightning_suggests(seed, noise, at):
    """The incumbent's rule gives, digit for digit, what its own code makes of the same losses."""
    losses = torch.tensor(descent(seed, noise, at), dtype=torch.float32)
    callback, finder = lr_finder._LRCallback(100), lr_finder._LRFinder("exponential", 1e-8, 1.0, 100)
    trainer = mock.MagicMock(should_stop=False, accumulate_grad_batches=1)
    trainer.fit_loop.batch_idx, trainer.strategy.broadcast = 0, lambda value: value
    for trainer.global_step, loss in enumerate(losses, 1):
        callback.on_train_batch_end(trainer, None, loss, None, 0)
        if trainer.should_stop:
            break
    finder.results = {"lr": RATES[: len(callback.losses)], "loss": callback.losses}
    assert lightning.suggest(curve(losses.tolist())) == finder.suggestion()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cliff", [-3.0, -1.0])
def test_consensus_where_nothing_falls(cliff, seed):
    """On noise that ends in a cliff, what counts is where it begins to climb, not which noise was lowest."""
    losses = 2.3 + np.random.default_rng(seed).normal(0, 0.1, 100) + 10 * np.maximum(LOGS - cliff, 0) ** 2
    assert 10 ** (cliff - 2) < consensus.suggest(curve(losses)) < 10**cliff


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("climb", [-2.0, -1.0])
def test_consensus_stays_below_where_the_loss_climbs(climb, seed):
    """Never above a quarter of the last rate at which the loss is no higher than at first."""
    losses = 2.3 - 2 / (1 + np.exp(-8 * (LOGS - climb + 0.5))) + 20 * np.maximum(LOGS - climb, 0) ** 2
    losses += np.random.default_rng(seed).normal(0, 0.01, 100)
    harmless = last_harmless(curve(losses))
    assert 10**climb < harmless < 10 ** (climb + 1)
    assert harmless / 100 < consensus.suggest(curve(losses)) <= harmless / 4


def test_consensus_of_a_loss_that_stays_low_after_an_early_fall():
    """A dead net's loss is lowest anywhere; what counts is where it fell."""
    dead = 2.3 - 1.5 / (1 + np.exp(-6 * (LOGS + 5))) - 0.01 * (LOGS > -0.2)
    with pytest.raises(LRSuggestionError, match="never turns up again"):
        minimum.suggest(curve(dead))
    assert 1e-6 < consensus.suggest(curve(dead)) < 3e-4


@pytest.mark.parametrize("width", [0.2, 0.4, 0.8, 3.0])
def test_steepness(width):
    """A fall over some decades needs no correction; the fewer it takes, the larger it is."""
    falling = 2.3 - np.clip((LOGS + 3) / width, 0, 1) + 3 * np.maximum(LOGS + 3 - width, 0)
    wider = 2.3 - np.clip((LOGS + 3) / (2 * width), 0, 1) + 3 * np.maximum(LOGS + 3 - 2 * width, 0)
    assert 0 < steepness(curve(falling)) <= steepness(curve(wider)) <= 1
    assert (steepness(curve(falling)) == 1) == (width == 3)


@quick
@given(seed=st.integers(0, 10**6), at=st.floats(-6, -2), decades=st.floats(-3, 3))
def test_consensus_follows_the_rates(seed, at, decades):
    """The same losses over rates so many times higher give a rate so many times higher."""
    losses = descent(seed, at=at)
    moved = consensus.suggest(curve(losses, [rate * 10**decades for rate in RATES]))
    assert moved == pytest.approx(consensus.suggest(curve(losses)) * 10**decades, rel=1e-6)


@quick
@given(seed=st.integers(0, 10**6), at=st.floats(-6, -2), scale=st.floats(1e-6, 1e6), shift=st.floats(-10, 10))
def test_consensus_in_other_units(seed, at, scale, shift):
    """Neither the unit of the loss nor a constant added to it matters."""
    losses = descent(seed, at=at)
    assert consensus.suggest(curve(scale * (losses + shift))) == pytest.approx(consensus.suggest(curve(losses)))


@quick
@given(
    losses=st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=10, max_size=60),
    low=st.floats(1e-9, 1e-3),
    decades=st.floats(2, 9),
)
def test_consensus_of_anything(losses, low, decades):
    """Whatever the losses, it is a rate of about the range, or there is no answer that says why."""
    rates = lr_ladder(low, low * 10**decades, len(losses))
    [answer] = suggest_all(curve(losses, rates), [LRSuggester("consensus", consensus.suggest, "")], {}, pytest.fail)
    if answer.value is None:
        assert "lr_min" in answer.reasons[0]
    else:
        assert low / 100 <= answer.value <= low * 10**decades / 4


@rules
@pytest.mark.parametrize("tail", [[1e30] * 30, [1e3, 1e20, 40, 30, 20, 10, 5, 3, 2.3, 2.3, 2.3], [math.nan] * 9])
def test_what_comes_after_the_divergence_does_not_matter(rule, tail):
    """A test that nobody stopped gives the same answer as one that was stopped when it diverged."""
    losses = list(descent())
    losses[100 - len(tail) :] = tail
    stopped = before_divergence(losses)
    assert len(stopped) < 100 or math.isnan(tail[0])
    assert rule(curve(losses)) == rule(curve(stopped, RATES[: len(stopped)]))


def test_rules_by_hand():
    """On a straight fall to 1e-4 and a straight rise after it, each rule's answer is known."""
    losses = np.abs(LOGS + 4)
    assert minimum.suggest(curve(losses)) == pytest.approx(1e-5, rel=0.15)
    assert 1e-8 <= steepest.suggest(curve(losses)) <= 1e-4
    assert drop.suggest(curve(losses)) == pytest.approx(2e-4 / 10**1.2, rel=0.15)
    assert 1e-7 < valley.suggest(curve(losses)) < 1e-5


@pytest.mark.parametrize("noise", [1e-3, 1e-2, 3e-2])
@pytest.mark.parametrize("seed", range(5))
def test_steepest_stays_in_the_descent(seed, noise):
    """Noise at tiny rates does not lure it, as it lures the slope per plain rate that other tools take."""
    losses = descent(seed, noise)
    per_plain_rate = RATES[int(np.argmin(np.gradient(numpy_smooth(losses), RATES)))]
    assert per_plain_rate < 1e-6
    assert 1e-4 < steepest.suggest(curve(losses)) < 1e-2


def test_steepest_looks_before_the_minimum_only():
    """A cliff beyond the minimum, where the loss bounces back, is no descent."""
    losses = descent(noise=0)
    losses[92:] = [60, 80, 80, 60, 40, 20, 10, 5]
    assert 1e-4 < steepest.suggest(curve(losses)) < 1e-2


@rules
@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf])
def test_missing_losses_are_skipped(rule, missing):
    """Points without a finite loss are as if they had not been measured."""
    gaps = {0, 1, 40, 55, 56, 57, 98, 99}
    losses = [missing if i in gaps else loss for i, loss in enumerate(descent())]
    kept = [i for i in range(100) if i not in gaps]
    assert rule(curve(losses)) == rule(curve(descent()[kept], [RATES[i] for i in kept]))


@rules
@pytest.mark.parametrize("losses", [[1.0] * 100, [0.0] * 100, list(range(100)), [-1e6 + i for i in range(100)]])
def test_no_answer_where_the_loss_never_falls(rule, losses):
    """A flat or rising curve has no answer, and it says what to change."""
    with pytest.raises(LRSuggestionError, match=r"lr_min|lr_max"):
        rule(curve(losses))


@rules
@pytest.mark.parametrize("scale", [2.0**-20, 0.5, 4.0, 2.0**20])
def test_scale_of_the_loss_does_not_matter(rule, scale):
    """A loss in other units gives the same rate."""
    assert rule(curve(scale * descent())) == rule(curve(descent()))


@rules
@pytest.mark.parametrize("shift", [-1000.0, -2.3, 5.0, 1000.0])
def test_shift_of_the_loss_does_not_matter(rule, shift):
    """A constant added to the loss, negative or not, gives the same rate."""
    assert rule(curve(descent() + shift)) == rule(curve(descent()))


@rules
def test_answers_lie_on_the_ladder(rule):
    """A rule's answer is never beyond the rates that were tried, but for the minimum's tenth."""
    assert 1e-9 <= rule(curve(descent())) <= 1.0


def test_all_are_asked():
    """Each suggester has an answer of its own on an ordinary curve."""
    answers = suggest_all(curve(descent()), SUGGESTERS, {}, pytest.fail)
    assert {answer.suggester: answer.value for answer in answers} == {
        name: suggest(curve(descent())) for name, suggest in RULES.items()
    }


@pytest.mark.parametrize("losses", [[1.0, 0.9, 0.8, 0.7], [1.0, 0.9, 0.8, 0.7, *[math.nan] * 6], []])
def test_too_few_points(losses):
    """With fewer than five finite losses nobody is asked, and each says how many there were."""
    answers = suggest_all(curve(losses, RATES[: len(losses)]), SUGGESTERS, {}, pytest.fail)
    assert [answer.suggester for answer in answers] == list(RULES)
    assert all(answer.value is None for answer in answers)
    assert all(f"only {min(4, len(losses))} of {len(losses)} steps" in answer.reasons[0] for answer in answers)
    assert {answer.quality for answer in answers} == {"doubtful"}


def test_no_answer_is_no_failure():
    """A rule that has no answer says why; nobody is warned."""
    (answer,) = suggest_all(curve([1.0] * 100), [LRSuggester("steepest", steepest.suggest, "")], {}, pytest.fail)
    assert answer.value is None
    assert "never falls" in answer.reasons[0]


@pytest.mark.parametrize("value", [None, "1e-3", True, 0.0, -1.0, math.nan, math.inf, [1e-3]])
def test_answers_that_are_no_rate(value):
    """What is no positive number is the suggester's failure: warned about, and the others go on."""
    warnings = []
    odd = LRSuggester("odd", lambda curve: value, "")
    first, second = suggest_all(curve(descent()), [odd, SUGGESTERS[0]], {}, warnings.append)
    assert first.value is None
    assert first.reasons
    assert second.value is not None
    assert len(warnings) == 1
    assert "odd" in warnings[0]


def test_a_suggester_that_fails():
    """A suggester's own bug is warned about, and the others go on."""
    warnings = []
    broken = LRSuggester("broken", lambda curve: {}["gone"], "")
    first, second = suggest_all(curve(descent()), [broken, SUGGESTERS[0]], {}, warnings.append)
    assert first.value is None
    assert "KeyError" in first.reasons[0]
    assert second.value is not None
    assert len(warnings) == 1


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_numpy_scalars_are_rates(kind):
    """A suggester may compute with numpy, and return what numpy returns."""
    (answer,) = suggest_all(curve(descent()), [LRSuggester("numpy", lambda curve: kind(1), "")], {}, pytest.fail)
    assert answer.value == 1.0


def test_options_reach_the_suggester():
    """A suggester with options is given its own table, validated."""

    class Options(BaseModel):
        factor: float = 1.0

    suggester = LRSuggester("fixed", lambda curve, options: options.factor, "", options=Options)
    (answer,) = suggest_all(curve(descent()), [suggester], {"fixed": {"factor": "0.5"}}, pytest.fail)
    assert answer.value == 0.5


def test_pick():
    """The named answer is taken; without one the error says why, and what the others say."""
    answers = (
        LRSuggestion(suggester="a", value=1e-3),
        LRSuggestion(suggester="b", reasons=("the loss never falls",)),
        LRSuggestion(suggester="c", reasons=("nor here",)),
    )
    assert pick(answers, "a") == 1e-3
    with pytest.raises(LRSuggestionError, match=r"b has no suggestion: the loss never falls.*a 1\.00e-03") as caught:
        pick(answers, "b")
    assert "nor here" not in str(caught.value)


def test_curve_survives_json():
    """NaN and both infinities come back, and the curve equals the one written."""
    written = curve([1.0, math.nan, math.inf, -math.inf, 0.1], RATES[:5])
    read = LRCurve.model_validate_json(written.model_dump_json())
    assert read == written
    assert math.isnan(read.losses[1])
    assert read.losses[2:4] == (math.inf, -math.inf)


@pytest.mark.parametrize("rates", [(1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (1.0, math.inf), (-1.0,), (0.0,)])
def test_curve_refuses_rates_that_make_no_sense(rates):
    """Rates are positive, finite and climb."""
    with pytest.raises(ValidationError, match="strictly increasing"):
        curve([1.0] * len(rates), rates)


def test_curve_refuses_unequal_lengths():
    """There is one loss for each rate."""
    with pytest.raises(ValidationError, match="2 learning rates but 1 losses"):
        curve([1.0], (0.1, 0.2))
