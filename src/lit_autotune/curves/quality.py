"""Whether the curve of a range test can be trusted, in words that say what to try."""

import math
from typing import Literal

from lit_autotune.curves.points import Curve
from lit_autotune.curves.readings import (
    LEAST_JUMPS,
    fall_in_jumps,
    first_loss,
    last_harmless,
    points,
    readings,
    smoothed_points,
    steepness,
    turns_up,
    typical_jump,
)

POINTS_PER_DECADE = 5
LEAST_FALL = 0.1
"""Share of the first loss. Below it a quarter of the benchmark's suggestions were bad, above it one in thirty."""
LEAST_STEEP_FALL = 0.3
"""The same where :func:`~lit_autotune.curves.readings.steepness` is below :data:`STEEP`."""
STEEP = 0.9
CLEAR_JUMPS = 1
"""A fall of less than a typical jump is noise. Between one and two ``consensus`` reads the cliff, and reads it well."""
CLEAR_JUMPS_WITHOUT_BOUND = 10
"""The same for a loss that can be negative: the share of the first loss says nothing there."""
DISAGREEMENT = 10.0
EDGE_DECADES = 0.5
EDGE_FALL = 0.2
"""Share of the whole fall that must happen in the last half decade for the loss to be "still falling"."""


def judge(curve: Curve, value: float) -> tuple[str, ...]:
    """Why a suggestion from this curve is doubtful, each reason with what to try; empty if it is good.

    Args:
        curve: What the range test measured, with at least five finite losses.
        value: The suggested rate.
    """
    checks = (
        _too_few_points(curve),
        _hardly_fell(curve) or _fell_too_fast(curve),
        _noise(curve),
        _edge(curve),
        _disagreement(curve, value),
    )
    return tuple(reason for reason in checks if reason)


def lowest_edge(curve: Curve) -> Literal["low", "high"] | None:
    """At which end of the range the loss is lowest, if at one: the range should be longer there.

    At the low end that is within the first half decade; at the high end the loss must still be falling. A loss that
    has not moved at all is lowest anywhere, but all rates were too low for it.
    """
    if not has_moved(curve):
        return "high"
    _, losses = points(curve)
    rates, smoothed = smoothed_points(curve)
    index = smoothed.index(min(smoothed))
    if rates[index] < rates[0] * 10**EDGE_DECADES:
        return "low"
    if rates[-1] < curve.learning_rates[-1] or smoothed[index] < smoothed[-1]:
        return None
    before = next(i for i, rate in enumerate(rates) if rate >= rates[-1] / 10**EDGE_DECADES)
    still_falling = smoothed[before] - smoothed[-1] >= EDGE_FALL * (first_loss(losses) - smoothed[-1])
    return "high" if still_falling else None


def has_moved(curve: Curve) -> bool:
    """Whether the loss has fallen, or risen, by more than its noise."""
    return fall_in_jumps(curve) >= LEAST_JUMPS or last_harmless(curve) < curve.learning_rates[-1]


def _too_few_points(curve: Curve) -> str:
    rates, _ = points(curve)
    density = (len(rates) - 1) / math.log10(rates[-1] / rates[0])
    if density >= POINTS_PER_DECADE:
        return ""
    return (
        f"too few points, {density:.1f} to each tenfold of the rate where {POINTS_PER_DECADE} are needed; "
        "raise lr_num_training, or narrow lr_min to lr_max"
    )


def _share_fallen(curve: Curve) -> float:
    """How much of the first loss went; of a loss that can be negative, whose size says nothing, all."""
    _, losses = points(curve)
    _, smoothed = smoothed_points(curve)
    start = first_loss(losses)
    return (start - min(smoothed)) / start if min(losses) >= 0 and start else 1.0


def _hardly_fell(curve: Curve) -> str:
    share = _share_fallen(curve)
    if share >= LEAST_FALL:
        return ""
    return (
        f"the loss hardly fell, by {max(share, 0):.0%} of where it began, so that the test saw little of how training "
        "goes; raise lr_num_training to 300, or look at the plot and try a few rates around the suggestion"
    )


def _fell_too_fast(curve: Curve) -> str:
    """A small fall within a few steps: where it began, and how far it would have gone, is a guess."""
    share = _share_fallen(curve)
    if share >= LEAST_STEEP_FALL or steepness(curve) >= STEEP:
        return ""
    return (
        f"the loss fell within a few steps only, by {share:.0%} of where it began, before it climbed again; raise "
        "lr_num_training to 300, or narrow lr_min to lr_max"
    )


def _noise(curve: Curve) -> str:
    """The noise is the typical jump from one step to the next, and the only scale of a loss that can be negative."""
    _, losses = points(curve)
    jumps = fall_in_jumps(curve)
    if jumps > (CLEAR_JUMPS if min(losses) >= 0 else CLEAR_JUMPS_WITHOUT_BOUND):
        return ""
    jump = typical_jump(losses)
    return (
        f"the loss jumps by {jump:.2g} from step to step and fell by {max(jumps * jump, 0):.2g} only; "
        "use a bigger batch, or raise lr_num_training"
    )


def _edge(curve: Curve) -> str:
    edge = lowest_edge(curve)
    if edge == "low":
        return f"the loss is lowest at the first rates, about {curve.learning_rates[0]:.0e}; lower lr_min"
    if edge == "high" or not turns_up(curve):
        return f"the loss has not turned up to the highest rate, {curve.learning_rates[-1]:.0e}; raise lr_max"
    return ""


def _disagreement(curve: Curve, value: float) -> str:
    """Doubtful is a value that fewer than two of the three readings are near to."""
    values = readings(curve)
    near = [other for other in values if max(other / value, value / other) <= DISAGREEMENT]
    if len(near) >= min(2, len(values)):
        return ""
    return (
        f"the rules disagree by more than ten times, from {min(values[0], value):.0e} to {max(values[-1], value):.0e}; "
        "look at the plot, use a bigger batch, or raise lr_num_training"
    )
