"""A learning rate for one batch size: the range test, the suggesters' reading of it, races around the suggestion."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lit_autotune.comparison.preview_budget import preview_length
from lit_autotune.copies.attributes import Setting, Values
from lit_autotune.curves.points import LRSuggestion
from lit_autotune.curves.schedules import RateKind, convert
from lit_autotune.errors import LRSuggestionError
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.planning.preview import Preview
from lit_autotune.planning.races import RUNS, Heat, Race
from lit_autotune.range_test.suggestions import pick
from lit_autotune.types import LRCurve

if TYPE_CHECKING:
    from lit_autotune.tuning.context import TuningContext


@dataclass(frozen=True, slots=True)
class RatePlan:
    """What is known before the sweep.

    Attributes:
        setting: Where to write the suggestion; ``None`` if it is only to be reported.
        start: What to set it to before the sweep takes over.
        scales: For each parameter group its rate per unit of the setting.
        kind: What kind of rate is wanted there.
        training: The training to come, with the present batch size.
        effective: Whether the setting decides what the optimizer trains with.
        by_hand: Whether it does so through the module's own hooks only, which a dry run does not come to.
    """

    setting: Setting | None
    start: dict[Setting, float]
    scales: tuple[float, ...]
    kind: RateKind
    training: TrainingPlan
    effective: bool = False
    by_hand: bool = False

    @property
    def old(self) -> float | None:
        """The present rate, if it is one to train with."""
        value = self.setting.value if self.setting else None
        return value if value is not None and 0 < value < float("inf") else None


@dataclass(frozen=True, slots=True)
class RateFound:
    """What was found for one batch size.

    Attributes:
        curve: What the range test measured.
        suggestions: Every suggester's answer.
        rate: The rate found, of the kind that is wanted; ``None`` if all races diverged.
        doubts: Why the suggestion is doubtful; empty if it is not, or if races have verified it.
        races: The races, best first.
        steps: Optimizer steps of all.
        step_seconds: Wall time of a step of the range test, in seconds.
    """

    curve: LRCurve
    suggestions: tuple[LRSuggestion, ...]
    rate: float | None
    doubts: tuple[str, ...]
    races: tuple[Heat, ...]
    steps: int
    step_seconds: float


def find_rate(context: "TuningContext", plan: RatePlan, values: Values, training_plan: TrainingPlan) -> RateFound:
    """Sweep, ask all suggesters, and verify the chosen suggestion by races if need be.

    Args:
        context: What the step works with.
        plan: What is known before the sweep.
        values: Settings to have besides, such as another batch size than was found.
        training_plan: The training to come with them.

    Raises:
        LRSuggestionError: If the chosen suggester has no answer; carries the curve.
        PluginError: If it fails.
    """
    config, console = context.config, context.console
    suggester = context.suggester
    test = context.range_test({**plan.start, **values}, plan.scales)
    curve = test.curve
    suggestions = context.suggest(curve)
    try:
        picked = pick(suggestions, suggester.name)
    except LRSuggestionError as error:
        error.curve, error.suggestions, error.kind = curve, suggestions, plan.kind
        raise
    suggestion = convert(picked, suggester.kind, plan.kind)
    reasons = next(answer.reasons for answer in suggestions if answer.suggester == suggester.name)
    for reason in reasons:
        console.warn(f"the suggestion is doubtful: {reason}")
    wants_races = config.lr_verify is True or (bool(reasons) and bool(config.lr_verify))
    steps = 0
    if wants_races:
        steps = preview_length(context, training_plan, test.step_seconds, heats=RUNS)
    if not steps:
        return RateFound(curve, suggestions, suggestion, reasons, (), test.steps, test.step_seconds)
    seconds = RUNS * steps * test.step_seconds
    console.line(f"Verifying by up to {RUNS} races of {steps} steps from the same start, about {seconds:.0f} s...")
    race = _race(context, plan, values, training_plan, suggestion, steps)
    taken = test.steps + sum(len(preview.losses) for preview in race.runs.values())
    return RateFound(curve, suggestions, race.verdict, (), race.heats, taken, test.step_seconds)


def preview_rate(context: "TuningContext", plan: RatePlan, values: Values, rate: float, steps: int) -> Preview:
    """Preview the training at a rate of the kind that is wanted; at a constant one where it cannot be set."""
    constant = convert(rate, plan.kind, "constant")
    scales = dict(enumerate(plan.scales))
    with context.console.progress(f"lr {rate:.1e}", steps) as advance:
        return context.preview(
            {**values, **({plan.setting: rate} if plan.setting and plan.effective else plan.start)},
            steps,
            None if plan.effective else functools.partial(_constant_rate, constant, scales),
            lambda loss: advance(f"loss {loss:.4g}"),
        )


def _constant_rate(rate: float, scales: Mapping[int, float], step: int, group: int) -> float:
    return rate * scales.get(group, 1.0)


def _race(
    context: "TuningContext", plan: RatePlan, values: Values, training_plan: TrainingPlan, center: float, steps: int
) -> Race:
    console = context.console

    def run(rate: float) -> Preview:
        preview = preview_rate(context, plan, values, rate, steps)
        console.line(f"  lr {rate:.2e}: {preview.outcome}")
        return preview

    share = min(1.0, steps / training_plan.steps) if training_plan.steps else 1 / RUNS
    return Race(run, center, share)
