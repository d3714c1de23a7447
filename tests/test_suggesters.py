"""What the built-in rules read off a curve, against independent implementations; asking all; the curve itself."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from lit_autotune.builtin import minimum, steepest, valley
from lit_autotune.curves import lr_ladder, smooth
from lit_autotune.errors import LRSuggestionError
from lit_autotune.suggestions import pick, suggest_all
from lit_autotune.types import LRCurve, LRSuggester, LRSuggestion

RULES = {"minimum": minimum.suggest, "steepest": steepest.suggest, "valley": valley.suggest}
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


def fastai_valley(rates, losses):
    """The rule as fastai's notes have it, the longest decreasing subsequence found step by step."""
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
    """Each rule gives what an independent implementation gives."""
    losses = descent(seed, noise, at)
    smoothed = numpy_smooth(losses)
    lowest = int(np.argmin(smoothed))
    slopes = np.empty(100)
    slopes[1:-1] = (smoothed[2:] - smoothed[:-2]) / (np.log(RATES[2:]) - np.log(RATES[:-2]))
    slopes[0] = (smoothed[1] - smoothed[0]) / np.log(RATES[1] / RATES[0])
    slopes[-1] = (smoothed[-1] - smoothed[-2]) / np.log(RATES[-1] / RATES[-2])
    assert steepest.suggest(curve(losses)) == RATES[int(np.argmin(slopes[: lowest + 1]))]
    assert minimum.suggest(curve(losses)) == pytest.approx(RATES[lowest] / 10)
    assert valley.suggest(curve(losses)) == fastai_valley(RATES, smooth(list(losses)))


def test_rules_by_hand():
    """On a straight fall to 1e-4 and a straight rise after it, each rule's answer is known."""
    losses = np.abs(LOGS + 4)
    assert minimum.suggest(curve(losses)) == pytest.approx(1e-5, rel=0.15)
    assert 1e-8 <= steepest.suggest(curve(losses)) <= 1e-4
    assert valley.suggest(curve(losses)) == pytest.approx(1e-6, rel=0.5)


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
    assert all(f"only {min(4, len(losses))} of {len(losses)} steps" in answer.reason for answer in answers)


def test_no_answer_is_no_failure():
    """A rule that has no answer says why; nobody is warned."""
    (answer,) = suggest_all(curve([1.0] * 100), [LRSuggester("steepest", steepest.suggest, "")], {}, pytest.fail)
    assert answer.value is None
    assert "never falls" in answer.reason


@pytest.mark.parametrize("value", [None, "1e-3", True, 0.0, -1.0, math.nan, math.inf, [1e-3]])
def test_answers_that_are_no_rate(value):
    """What is no positive number is the suggester's failure: warned about, and the others go on."""
    warnings = []
    odd = LRSuggester("odd", lambda curve: value, "")
    first, second = suggest_all(curve(descent()), [odd, SUGGESTERS[0]], {}, warnings.append)
    assert first.value is None
    assert first.reason
    assert second.value is not None
    assert len(warnings) == 1
    assert "odd" in warnings[0]


def test_a_suggester_that_fails():
    """A suggester's own bug is warned about, and the others go on."""
    warnings = []
    broken = LRSuggester("broken", lambda curve: {}["gone"], "")
    first, second = suggest_all(curve(descent()), [broken, SUGGESTERS[0]], {}, warnings.append)
    assert first.value is None
    assert "KeyError" in first.reason
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
        LRSuggestion(suggester="b", reason="the loss never falls"),
        LRSuggestion(suggester="c", reason="nor here"),
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
