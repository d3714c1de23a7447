"""Tuning step ``comparison``: do the values found train better than the present ones? If not, these stay."""

from typing import TYPE_CHECKING, Any

from lit_autotune.comparison.comparer import Comparer
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import TuningStep

if TYPE_CHECKING:
    from lit_autotune.report.results import Comparison
    from lit_autotune.tuning.context import TuningContext


def run(context: "TuningContext", plan: Any) -> "Comparison":
    """Compare, and have the best values applied."""
    before = dict(context.results)
    comparison = Comparer(context).run()
    _draw_again(context, before)
    if not comparison.values:
        context.console.line(f"Comparison: {comparison.verdict}")
    return comparison


def _draw_again(context: "TuningContext", before: dict[str, Any]) -> None:
    """Have the plots mark the values that the training gets, where these are others than were found."""
    from lit_autotune.builtin import batch_size_step, learning_rate_step

    for name, step in (("batch_size", batch_size_step), ("learning_rate", learning_rate_step)):
        result = context.results.get(name)
        if result is not None and result is not before.get(name) and result.plot_path:
            step.save_plot(context, result)


@hookimpl
def lit_autotune_steps() -> list[TuningStep]:
    return [
        TuningStep(
            name="comparison",
            order=300,
            is_enabled=lambda c: c.compare is not False and (c.use_batch_size_tuning or c.use_learning_rate_tuning),
            run=run,
            summary="compare the values found with the present ones, and keep those that train better",
        )
    ]
