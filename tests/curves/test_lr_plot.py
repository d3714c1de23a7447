"""The plot of a range test: what is marked, what is said below it, colours, file types."""

import math

import pytest

from lit_autotune import LRCurve, LRSuggestion
from lit_autotune._shared.figures import PALETTES, save
from lit_autotune.curves.marks import Outcome
from lit_autotune.curves.plot import plot_lr_curve

RATES = [10 ** (-6 + i / 10) for i in range(61)]
LOSSES = [
    2 - 1.5 / (1 + math.exp(-4 * (math.log10(rate) + 3))) + max(0, math.log10(rate) + 1) ** 2 * 9 for rate in RATES
]
CURVE = LRCurve(learning_rates=RATES, losses=LOSSES)
RULES = [LRSuggestion(suggester="a", value=2e-3), LRSuggestion(suggester="b", value=1e-3), LRSuggestion(suggester="c")]


def marks(figure):
    """What is drawn, by its label in the legend, as places."""
    [axes] = figure.axes
    return {line.get_label(): line.get_xydata() for line in axes.get_lines()}


def notes(figure):
    """All that is written, but for the axes and the legend."""
    return "\n".join(text.get_text() for text in figure.axes[0].texts)


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_suggestion_is_a_point_on_the_curve_with_its_value():
    """Where nothing is known of what came of it, the suggestion is what is marked."""
    figure = plot_lr_curve(CURVE, RULES, "a")
    [[rate, loss]] = marks(figure)["suggestion (a): 2.00e-03"]
    assert rate == 2e-3
    assert loss == pytest.approx(LOSSES[33], abs=0.1)
    assert "2.00e-03" in notes(figure).splitlines()


def test_rate_that_is_applied_is_the_one_marked():
    """If another rate than the suggestion is applied, its value stands there; the suggestion is a smaller mark."""
    figure = plot_lr_curve(CURVE, RULES, "a", Outcome(5e-4, "the present rate stays: 5.00e-04", "5.00e-04"))
    assert marks(figure)["the present rate stays: 5.00e-04"][0][0] == 5e-4
    assert marks(figure)["suggestion (a): 2.00e-03"][0][0] == 2e-3
    assert "5.00e-04" in notes(figure).splitlines()
    assert "2.00e-03" not in notes(figure).splitlines()


def test_other_rules_are_named_below_and_can_be_left_out():
    """Ticks for those that have an answer, their names and values from left to right; or nothing of them."""
    figure = plot_lr_curve(CURVE, RULES, "a")
    assert "other rules" in legend(figure)
    assert "Other rules, from the left: b 1.0e-03" in notes(figure)
    without = plot_lr_curve(CURVE, RULES, "a", rules=False)
    assert "other rules" not in legend(without)
    assert "Other rules" not in notes(without)


@pytest.mark.parametrize("outcome", [None, Outcome(0.5, "applied: 5.00e-01", "5.00e-01", why="it won the races")])
def test_rate_among_those_that_diverge_is_explained(outcome):
    """A chosen rate is not left in the shaded zone without a word."""
    rules = [LRSuggestion(suggester="a", value=0.5)]
    figure = plot_lr_curve(CURVE, rules, "a", outcome)
    assert "diverging" in legend(figure)
    assert "5.00e-01 lies where this short test diverges: " in notes(figure)
    assert ("it won the races" in notes(figure)) == (outcome is not None)
    assert "diverges" not in notes(plot_lr_curve(CURVE, RULES, "a"))


def test_races_are_marked_and_told():
    """Each rate that was raced is a mark of its own, another one if it diverged."""
    raced = ((1e-3, "loss 0.5"), (2e-3, "loss 0.4"), (4e-3, "diverged"))
    rules = [LRSuggestion(suggester="a", value=2e-3, quality="doubtful", reasons=("it is a guess",))]
    figure = plot_lr_curve(CURVE, rules, "a", Outcome(1.5e-3, "after the races: 1.50e-03", "1.50e-03", raced=raced))
    assert [rate for rate, _ in marks(figure)["raced"]] == [1e-3, 2e-3]
    assert [rate for rate, _ in marks(figure)["raced, diverged"]] == [4e-3]
    assert "Raced: 1.00e-03 loss 0.5, 2.00e-03 loss 0.4, 4.00e-03 diverged" in notes(figure)
    assert "Raced because: it is a guess" in notes(figure)


@pytest.mark.parametrize("rate", [1e-9, 10.0])
def test_rate_outside_of_the_range_can_be_seen(rate):
    """The axis is as long as it has to be for the rate that the training gets."""
    axes = plot_lr_curve(CURVE, RULES, "a", Outcome(rate, "stays", "here")).axes[0]
    assert axes.get_xlim()[0] <= rate <= axes.get_xlim()[1]


def test_legend_and_notes_lie_outside_of_the_axes():
    """They hide nothing of the curve, and lie within the figure without touching each other."""
    doubts = tuple(f"reason {i} " + "word " * 40 for i in range(4))
    rules = [LRSuggestion(suggester="a", value=2e-3, quality="doubtful", reasons=doubts), *RULES[1:]]
    figure = plot_lr_curve(CURVE, rules, "a")
    figure.draw_without_rendering()
    [axes] = figure.axes
    box, low = axes.get_legend().get_window_extent(), axes.get_position().y0 * figure.bbox.height
    below = [text.get_window_extent() for text in axes.texts if text.get_transform() is figure.transFigure]
    assert box.y1 < low
    assert len(below) > 8
    assert max(one.y1 for one in below) <= box.y0
    assert min(one.y0 for one in below) >= 0
    assert max(one.x1 for one in [*below, box]) <= figure.bbox.width


@pytest.mark.parametrize("style", PALETTES)
@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_file_types_and_styles(tmp_path, style, suffix, start):
    """The suffix says which type it is; a dark figure is dark in each."""
    path = save(plot_lr_curve(CURVE, RULES, "a", style=style), tmp_path / f"plot.{suffix}")
    assert path.read_bytes().startswith(start)
    if suffix == "svg":
        assert PALETTES[style].paper in path.read_text()


def test_figure_draws_itself_in_a_notebook():
    """A notebook's front end asks for an SVG; it is the same each time."""
    figure = CURVE.plot(RULES[0])
    assert figure._repr_svg_().startswith("<svg")
    assert figure._repr_svg_() == CURVE.plot(RULES[0])._repr_svg_()


def test_colours_of_a_palette_are_all_different():
    """Each is replaced by a name where a page brings colours of its own."""
    for palette in PALETTES.values():
        colours = [getattr(palette, name) for name in palette.__slots__]
        assert len(set(colours)) == len(colours)
