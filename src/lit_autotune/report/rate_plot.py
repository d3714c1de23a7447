"""The plot of a range test with what came of it: the rate that the training gets is the one that is marked."""

from typing import TYPE_CHECKING

from lit_autotune._shared.figures import PlotStyle
from lit_autotune.curves.marks import Outcome
from lit_autotune.curves.plot import plot_lr_curve
from lit_autotune.curves.schedules import convert

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lit_autotune.report.results import LearningRateResult


def plot_rate(result: "LearningRateResult", style: PlotStyle = "light", rules: bool = True) -> "Figure":
    """Draw the curve, the rate that the training gets, the suggestion if that is another, and races."""
    return plot_lr_curve(result.curve, result.suggestions, result.suggester, _outcome(result), style=style, rules=rules)


def _outcome(result: "LearningRateResult") -> Outcome:
    """What came of the suggestion, at constant rates as the range test sweeps over."""
    name = "max_lr " if result.kind == "max_lr" else ""
    value = f"{name}{result.chosen:.2e}"
    label, why = _in_words(result)
    return Outcome(
        rate=convert(result.chosen, result.kind, "constant"),
        label=f"{label}: {value}",
        value=value,
        why=why,
        raced=tuple(
            (convert(heat.learning_rate, result.kind, "constant"), heat.outcome)
            for heat in sorted(result.races, key=lambda heat: heat.learning_rate)
        ),
    )


def _in_words(result: "LearningRateResult") -> tuple[str, str]:
    """What the rate is, and why it may lie where the test diverges."""
    if result.chosen == result.old and result.chosen != result.suggested:
        return "the present rate stays", "it is the present rate, and no better one was proven"
    use = "applied" if result.applied else "not applied"
    if result.chosen != result.suggested:
        return f"compared, {use}", "it trained best in the comparison"
    if result.races:
        return f"after the races, {use}", "it trained best in the races"
    doubt = ", doubtful" if result.doubtful else ""
    return f"suggestion ({result.suggester}{doubt}), {use}", ""
