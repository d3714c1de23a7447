"""The LR range test as a whole: sweeps, and a longer range where it was too short."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lit_autotune.config import TunerConfig
from lit_autotune.curves.formulas import lr_ladder
from lit_autotune.curves.quality import lowest_edge
from lit_autotune.range_test.suggestions import MIN_POINTS
from lit_autotune.range_test.training import Training
from lit_autotune.report.console import Console
from lit_autotune.types import LRCurve

EXTENSION = 100.0
LOWEST, HIGHEST = 1e-12, 100.0
"""Rates beyond which no range is extended by itself."""


@dataclass(frozen=True, slots=True)
class RangeTest:
    """What a range test came to.

    Attributes:
        curve: What it measured.
        steps: Optimizer steps that it took.
        step_seconds: Wall time of one of them, in seconds.
    """

    curve: LRCurve
    steps: int
    step_seconds: float


def run_range_test(training: Training, config: TunerConfig, console: Console) -> RangeTest:
    """Sweep; once more over a longer range if that one was too short; and as often as ``lr_num_repeats`` says."""
    rates = lr_ladder(config.lr_min, config.lr_max, config.lr_num_training, config.lr_mode)
    curve = _sweep(training, rates, config, console)
    longer = longer_ladder(config, curve) if config.lr_auto_extend else None
    if longer:
        end = "lower" if longer[0] < rates[0] else "upper"
        console.line(f"The loss is lowest at the {end} end: once more over [{longer[0]:.2e}, {longer[-1]:.2e}]")
        # Anew, not only the new part: each point depends on all that was trained before.
        rates, curve = longer, _sweep(training, longer, config, console)
    sweeps = [curve]
    for repeat in range(1, config.lr_num_repeats):
        console.line(f"Repeat {repeat + 1} of {config.lr_num_repeats}, over other batches")
        sweeps.append(_sweep(training, rates, config, console, repeat))
    curve = combine(sweeps) if len(sweeps) > 1 else curve
    return RangeTest(curve, training.steps, training.step_seconds)


def longer_ladder(config: TunerConfig, curve: LRCurve) -> list[float] | None:
    """The ladder of a range a hundred times longer at the end where the loss is lowest, its rates as dense.

    Returns:
        ``None`` if the loss is lowest within the range, or no longer one makes sense.
    """
    if config.lr_mode == "linear" or len(curve.finite()[0]) < MIN_POINTS:
        return None
    edge, low, high = lowest_edge(curve), config.lr_min, config.lr_max
    if edge == "low":
        low = min(low, max(low / EXTENSION, LOWEST))
    elif edge == "high":
        high = max(high, min(high * EXTENSION, HIGHEST))
    if (low, high) == (config.lr_min, config.lr_max):
        return None
    growth = math.log(high / low) / math.log(config.lr_max / config.lr_min)
    return lr_ladder(low, high, 1 + round(growth * (config.lr_num_training - 1)))


def combine(sweeps: Sequence[LRCurve]) -> LRCurve:
    """One curve of several sweeps over the same rates: the median loss of each step.

    A sweep that has diverged counts as infinite from there on; where the median is infinite the curve ends. A
    missing loss does not count.
    """
    rates = max((sweep.learning_rates for sweep in sweeps), key=len)
    losses: list[float] = []
    for step in range(len(rates)):
        there = [sweep.losses[step] for sweep in sweeps if step < len(sweep.losses)]
        known = [loss for loss in there if math.isfinite(loss)] + [math.inf] * (len(sweeps) - len(there))
        loss = median(known) if known else math.nan
        if loss == math.inf:
            break
        losses.append(loss)
    return LRCurve(
        learning_rates=rates[: len(losses)],
        losses=tuple(losses),
        diverged=2 * sum(sweep.diverged for sweep in sweeps) >= len(sweeps),
        monitor=sweeps[0].monitor,
        repeats=tuple(sweep.losses[: len(losses)] for sweep in sweeps),
    )


def _sweep(
    training: Training, rates: Sequence[float], config: TunerConfig, console: Console, repeat: int = 0
) -> LRCurve:
    with console.progress("range test", len(rates)) as advance:

        def on_point(rate: float, loss: float) -> None:
            advance(f"lr {rate:.1e} {_in_words(loss, '.4g')}")
            console.debug(f"  lr {rate:.3e}  {_in_words(loss, '.6g')}")

        curve = training.sweep(rates, config.lr_early_stop_threshold, on_point, repeat)
    if curve.diverged and len(curve.losses) < len(rates):
        console.line(f"Stopped after {len(curve.losses)} iterations: the loss diverged")
    return curve


def _in_words(loss: float, form: str) -> str:
    """A loss; that of an epoch's last batch, which may be a small one, does not count."""
    return "no loss" if math.isnan(loss) else f"loss {loss:{form}}"
