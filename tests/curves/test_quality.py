"""How far a suggestion can be trusted, and the way from plain numbers to a suggestion."""

import csv
import math
import re

import numpy as np
import pytest

from lit_autotune import ConfigError, LRCurve, LRSuggestion, TunerConfig, UnknownNameError, suggest_lr
from lit_autotune.curves.formulas import lr_ladder
from lit_autotune.curves.plot import plot_lr_curve
from lit_autotune.curves.quality import judge, lowest_edge
from lit_autotune.range_test.suggestions import suggest_all
from lit_autotune.registry.registry import Registry
from lit_autotune.testing import valley

RATES = lr_ladder(1e-8, 1.0, 100)
LOGS = np.log10(RATES)
NOISE = np.random.default_rng(0).normal(0, 1, 100)


def fall(at=-3.0, depth=1.0, start=2.3, noise=0.01, climbs=True):
    """Losses that fall by ``depth`` around ``10**at``, with noise, and explode from a tenth on if they ever climb."""
    losses = start - depth / (1 + np.exp(-4 * (LOGS - at))) + noise * NOISE
    return losses + np.exp(6 * (LOGS + 0.3)) if climbs else losses


GOOD = {
    "ordinary": fall(),
    "large unit": 1e6 * fall(),
    "small unit": 1e-6 * fall(),
    "negative": fall(start=-5.0, depth=3.0),
    "through nought": fall(start=0.0, depth=2.0),
}


@pytest.mark.parametrize("losses", GOOD.values(), ids=GOOD)
def test_good_curves(losses):
    """A clear fall within the range is good, whatever the unit and the sign of the loss."""
    suggestion = suggest_lr(RATES, losses)
    assert (suggestion.quality, suggestion.reasons) == ("good", ())
    assert 1e-4 < suggestion.value < 1e-1


DOUBTFUL = {
    "hardly fell": (fall(depth=0.2), r"hardly fell, by \d% of where it began.*lr_num_training"),
    "fell too fast": (
        2.3 - 0.6 * np.clip(2 * (LOGS + 3), 0, 1) + 3 * np.maximum(LOGS + 2.4, 0) + 0.01 * NOISE,
        r"within a few steps only, by 1\d% of where it began.*lr_num_training",
    ),
    "noise": (fall(depth=0.5, start=-2.0, noise=1.0), r"jumps by 0\.\d+ from step to step.*bigger batch"),
    "still falling": (fall(at=0.0, climbs=False), r"not turned up to the highest rate, 1e\+00; raise lr_max"),
    "never turns up again": (fall(climbs=False), r"not turned up to the highest rate, 1e\+00; raise lr_max"),
    "never moves": (2.3 + 0.2 * NOISE, r"not turned up to the highest rate, 1e\+00; raise lr_max"),
    "rises at once": (5 + np.abs(LOGS + 7.7), r"lowest at the first rates, about 1e-08; lower lr_min"),
}


@pytest.mark.parametrize(("losses", "reason"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_doubtful_curves(losses, reason):
    """What is wrong with a curve is said, with what to try."""
    suggestion = suggest_lr(RATES, losses)
    assert suggestion.quality == "doubtful"
    assert any(re.search(reason, text) for text in suggestion.reasons), suggestion.reasons


def test_too_few_points():
    """Few points over many decades are doubtful, the same number over few is not."""
    wide, narrow = lr_ladder(1e-8, 1.0, 20), lr_ladder(1e-3, 1.0, 20)
    losses = [2 - i / 10 for i in range(15)] + [1.0] * 5
    assert "2.4 to each tenfold of the rate" in " ".join(suggest_lr(wide, losses).reasons)
    assert "each tenfold" not in " ".join(suggest_lr(narrow, losses).reasons)


@pytest.mark.parametrize("value", [1e-7, 3.0])
def test_a_value_far_from_all_rules_is_doubtful(value):
    """On a good curve, too, a rule may be wrong: more than ten times away from what the others read."""
    curve = LRCurve(learning_rates=RATES, losses=fall())
    assert judge(curve, suggest_lr(RATES, fall()).value) == ()
    [reason] = judge(curve, value)
    assert "disagree by more than ten times" in reason


@pytest.mark.parametrize(("at", "edge"), [(-3.0, None), (0.0, "high")])
def test_edge(at, edge):
    """The end of the range at which the loss is lowest, if at one."""
    assert lowest_edge(LRCurve(learning_rates=RATES, losses=fall(at=at, climbs=False))) == edge


def test_edge_after_an_early_stop():
    """Where the test was stopped because the loss diverged is no end of the range."""
    losses = fall()
    assert lowest_edge(LRCurve(learning_rates=RATES[:95], losses=losses[:95], diverged=True)) is None


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array, lambda values: np.array(values, dtype=np.float32)])
def test_suggest_lr_takes_any_sequence(kind):
    """Lists, iterators and arrays are all the same."""
    expected = suggest_lr(RATES, fall()).value
    assert suggest_lr(kind(RATES), kind(list(fall()))).value == pytest.approx(expected, rel=1e-5)


def test_suggest_lr_is_the_way_of_the_range_test():
    """Value, quality and reasons are those of the report, for each rule; without a name it is the settings' rule."""
    for losses in (fall(), fall(depth=0.2)):
        curve = LRCurve(learning_rates=RATES, losses=losses)
        for answer in suggest_all(curve, Registry.load().suggesters, {}, pytest.fail):
            assert suggest_lr(RATES, losses, answer.suggester) == answer
    assert suggest_lr(RATES, fall()).suggester == TunerConfig().lr_suggester


@pytest.mark.parametrize(
    "tail", [[math.nan] * 10, [math.inf] * 10, [1e30] * 10, [math.nan, 1e9, math.inf, *[1e12] * 7]]
)
def test_the_end_of_a_diverged_curve_does_not_matter(tail):
    """A curve that ends in an explosion gives what it gives without it."""
    losses = list(fall())
    assert suggest_lr(RATES, [*losses[:90], *tail]).value == pytest.approx(
        suggest_lr(RATES[:90], losses[:90]).value, rel=0.3
    )


@pytest.mark.parametrize("losses", [[], [1.0] * 100, [math.nan] * 100, list(range(100))], ids=str)
def test_no_answer_is_doubtful_and_says_why(losses):
    """Without an answer there is no value, but a reason."""
    suggestion = suggest_lr(RATES[: len(losses)], losses)
    assert (suggestion.value, suggestion.quality) == (None, "doubtful")
    assert "lr_min" in suggestion.reasons[0]


@pytest.mark.parametrize(
    ("lrs", "losses", "message"),
    [
        ([1e-3, 1e-2], [1.0], "2 learning rates but 1 losses"),
        ([1e-2, 1e-3], [1.0, 2.0], "strictly increasing"),
        ([0.0, 1e-3], [1.0, 2.0], "strictly increasing"),
        (["a", "b"], [1.0, 2.0], "could not convert"),
        (1e-3, 1.0, "not iterable"),
    ],
)
def test_suggest_lr_refuses_what_is_no_curve(lrs, losses, message):
    """Numbers that make no curve are refused in one line."""
    with pytest.raises(ConfigError, match=f"^suggest_lr: .*{message}[^\n]*$"):
        suggest_lr(lrs, losses)


def test_suggest_lr_with_an_unknown_rule():
    """A misspelt rule is an error that proposes the nearest."""
    with pytest.raises(UnknownNameError, match="did you mean 'steepest'"):
        suggest_lr(RATES, fall(), "steepst")


def test_curve_as_csv(tmp_path):
    """A curve's points come back from its CSV file as they were, missing ones included."""
    curve = LRCurve(learning_rates=RATES[:3], losses=(0.1, math.nan, math.inf))
    curve.to_csv(tmp_path / "curve.csv")
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    read = [(float(row["learning_rate"]), float(row["loss"])) for row in rows]
    assert LRCurve(learning_rates=[rate for rate, _ in read], losses=[loss for _, loss in read]) == curve


def words(figure):
    """All that is written on a figure's axes and in its legend."""
    [axes] = figure.axes
    return " ".join(text.get_text() for text in (*axes.texts, *axes.get_legend().get_texts()))


def test_plot_of_a_curve():
    """In a notebook a curve draws itself, with a suggestion if there is one to mark."""
    curve = LRCurve(learning_rates=RATES, losses=valley())
    assert "suggestion" not in words(curve.plot())
    suggestion = suggest_lr(RATES, valley())
    assert f"{suggestion.value:.2e}" in words(curve.plot(suggestion))


def test_plot_says_why_a_suggestion_is_doubtful():
    """The reasons of the chosen suggestion stand below the plot, those of the others do not."""
    curve = LRCurve(learning_rates=RATES, losses=valley())
    chosen = LRSuggestion(suggester="a", value=1e-3, quality="doubtful", reasons=("it is a guess",))
    other = LRSuggestion(suggester="b", value=1e-2, quality="doubtful", reasons=("so is this",))
    text = words(plot_lr_curve(curve, (chosen, other), "a"))
    assert "it is a guess" in text
    assert "doubtful" in text
    assert "so is this" not in text
