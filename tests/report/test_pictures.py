"""The plots of a report: batch sizes with memory and throughput, and the rate that the training gets."""

import pytest

from lit_autotune import BatchSizeTrial, LRCurve, LRSuggestion, TunerConfig, TuningReport
from lit_autotune.planning.races import Heat
from lit_autotune.report.batch_size_plot import plot_batch_sizes
from lit_autotune.report.results import BatchSizeResult, LearningRateResult

MIB, GIB = 2**20, 2**30
CURVE = LRCurve(learning_rates=[10 ** (-6 + i / 10) for i in range(60)], losses=[2 - i / 60 for i in range(60)])


def trial(size, outcome="fits", peak=None, step=None):
    steps = () if step is None else (1.0, step)
    return BatchSizeTrial(batch_size=size, outcome=outcome, seconds=1, peak_bytes=peak, step_seconds=steps)


def rate_result(**fields):
    fields = {"old": 1e-2, "chosen": 1e-3, "suggested": 1e-3, "applied": True} | fields
    suggestions = (LRSuggestion(suggester="a", value=1e-3),)
    return LearningRateResult(suggester="a", places=("module.lr",), curve=CURVE, suggestions=suggestions, **fields)


def legend(figure):
    return [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]


def notes(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


GROWING = [trial(2**i, peak=(400 + 2**i) * MIB, step=0.01 + 2**i / 1e4) for i in range(1, 9)]


def test_memory_and_throughput_share_their_batch_sizes():
    """Two panels, one axis of batch sizes; the chosen one is marked in both with its value."""
    figure = plot_batch_sizes(GROWING, 2 * GIB, 64)
    memory, throughput = figure.axes
    assert memory.get_xlim() == throughput.get_xlim()
    assert (memory.get_ylabel(), throughput.get_ylabel()) == ("peak memory, MiB", "samples/s")
    assert {"464 MiB", "3,902 samples/s"} <= set(notes(figure))
    for axes in figure.axes:
        assert [line.get_xdata()[0] for line in axes.get_lines() if line.get_label() == "chosen: 64"] == [64]


@pytest.mark.parametrize("left_out", ["peak", "step"])
def test_panel_for_what_was_measured(left_out):
    """Without peaks, or without timed steps, there is one panel only."""
    fields = {"peak": 100 * MIB, "step": 0.1} | {left_out: None}
    assert len(plot_batch_sizes([trial(2, **fields), trial(4, **fields)], None, 2).axes) == 1


def test_far_budget_does_not_flatten_the_growth():
    """A budget far beyond all peaks is told as a number, and a near one drawn."""
    far, near = plot_batch_sizes(GROWING, 128 * GIB, 64), plot_batch_sizes(GROWING, 1 * GIB, 64)
    assert far.axes[0].get_ylim()[1] < 800
    assert "Budget: 128.0 GiB, 200 times the highest peak, beyond this axis" in notes(far)
    assert "budget: 1.0 GiB" in legend(near)
    assert near.axes[0].get_ylim()[1] > 1024


def test_outcomes_differ_in_their_shapes():
    """Every outcome has a marker of its own, and so has the chosen size: no colour is needed to tell them apart."""
    outcomes = ("fits", "over_budget", "out_of_memory", "cannot_be_used", "too_little_data")
    trials = [trial(2**i, outcome, 100 * MIB if i < 2 else None) for i, outcome in enumerate(outcomes)]
    lines = plot_batch_sizes(trials, 150 * MIB, 1).axes[0].get_lines()
    shapes = {line.get_label(): line.get_marker() for line in lines if line.get_marker() not in ("", "None")}
    words = {"fits", "over the budget", "out of memory", "cannot be used", "too little data", "chosen: 1"}
    assert set(shapes) == words
    assert len(set(shapes.values())) == len(shapes)


@pytest.mark.parametrize("trials", [[trial(16)], [trial(16, peak=MIB)], [trial(16, "out_of_memory"), trial(17)]])
def test_little_was_measured(trials):
    """A figure comes of any trials."""
    figure = plot_batch_sizes(trials, None, 16)
    figure.draw_without_rendering()
    assert all(axes.get_xlim()[0] < 16 < axes.get_xlim()[1] for axes in figure.axes)


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, "suggestion (a), applied: 1.00e-03"),
        ({"doubtful": True}, "suggestion (a, doubtful), applied: 1.00e-03"),
        ({"applied": False}, "suggestion (a), not applied: 1.00e-03"),
        ({"chosen": 1e-2, "applied": False}, "the present rate stays: 1.00e-02"),
        ({"chosen": 5e-4}, "compared, applied: 5.00e-04"),
        ({"kind": "max_lr", "chosen": 3e-3, "suggested": 3e-3}, "suggestion (a), applied: max_lr 3.00e-03"),
    ],
)
def test_plot_of_a_rate_says_what_came_of_it(fields, label):
    """The legend says which rate it is that is marked, and it is the one in force."""
    result = rate_result(**fields)
    figure = result.plot()
    [mark] = [line for line in figure.axes[0].get_lines() if line.get_label() == label]
    assert mark.get_xdata()[0] == pytest.approx(1e-3 if "kind" in fields else result.chosen)


def test_plot_of_races():
    """The rate that the races came to is marked, and each of them."""
    heats = tuple(Heat(learning_rate=rate, losses=(1.0,), score=rate) for rate in (1e-3, 2e-3))
    figure = rate_result(races=heats, chosen=7e-4, suggested=7e-4).plot()
    assert "after the races, applied: 7.00e-04" in legend(figure)
    assert "Raced: 1.00e-03 loss 0.001, 2.00e-03 loss 0.002" in notes(figure)


def test_plots_of_a_report():
    """Both by name, in the colours of the settings; only those of the steps that have run."""
    size = BatchSizeResult(strategy="power", old=2, chosen=4, largest=4, limit="data", places=(), trials=GROWING)
    config = TunerConfig(plot_style="dark", lr_plot_rules=False)
    report = TuningReport(version="1", config=config, batch_size=size, learning_rate=rate_result())
    figures = report.plots()
    assert list(figures) == ["batch_size", "learning_rate"]
    assert len({figure.get_facecolor() for figure in figures.values()}) == 1
    assert report.plots("light")["batch_size"].get_facecolor() == (1, 1, 1, 1)
    assert report.model_copy(update={"batch_size": None}).plots().keys() == {"learning_rate"}
