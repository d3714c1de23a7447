"""Step ``accumulate``: a target batch size, by accumulating the gradients of smaller batches that fit."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from lit_autotune import BatchSizeError, ConfigError, TuningStep, hookimpl
from lit_autotune_accumulate.divide import better_target, divisors, multiples_around

if TYPE_CHECKING:
    from lit_autotune import TuningContext


class Options(BaseModel):
    """Options of the step."""

    target_batch_size: int | None = Field(None, ge=1, description="samples of an optimizer step, over all devices")


def check(context: "TuningContext") -> None:
    """Refuse what cannot be accumulated, or shared among the devices.

    Raises:
        ConfigError: Says why, and what to do.
    """
    target, devices = _target(context), context.trainer.world_size
    if not context.module.automatic_optimization:
        raise ConfigError("accumulate: manual optimization does not accumulate gradients; leave the step out")
    if any(type(one).__name__ == "GradientAccumulationScheduler" for one in context.trainer.callbacks):
        raise ConfigError("accumulate: GradientAccumulationScheduler would undo it; leave one of the two out")
    if target % devices:
        near = " or ".join(map(str, multiples_around(target, devices)))
        raise ConfigError(f"accumulate: {devices} devices cannot share target_batch_size = {target}; try {near}")


def run(context: "TuningContext", plan: Any) -> dict[str, int]:
    """Find the largest batch size that fits and divides the target; set it and the accumulation.

    Raises:
        ConfigError: If no batch size is known to begin with, or an epoch has less than the target.
        BatchSizeError: If not even a batch of one sample fits.
    """
    target, devices = _target(context), context.trainer.world_size
    size, accumulation = context.find_batch_size(), context.setting("trainer.accumulate_grad_batches")
    found = context.results.get("batch_size")
    most = found.largest if found else size.value
    if not most:
        raise ConfigError(f"accumulate: {size} has no value to begin with; give it one, or tune the batch size, too")
    chosen, most = _largest_that_fits(context, divisors(target // devices, int(most)), int(most))
    batches = target // devices // chosen
    held = context.look({size: chosen}).batches
    if held < batches:
        raise ConfigError(
            f"accumulate: an epoch has only {held:g} batches of {chosen} on each of {devices} devices, fewer than "
            f"target_batch_size = {target}; try {int(held) * chosen * devices}"
        )
    if 2 * chosen <= min(most, target // devices):
        other = better_target(target, devices, most)
        hint = f"; target_batch_size = {other} would take larger ones" if other else ""
        context.console.warn(f"accumulate: up to {most} may fit, but of these only {chosen} divides {target}{hint}")
    context.apply(size, chosen)
    context.apply(accumulation, batches)
    context.console.line(
        f"Target batch size {target}: {chosen} per device x {devices} devices x {batches} batches accumulated"
    )
    return {"target": target, "batch_size": chosen, "devices": devices, "accumulate_grad_batches": batches}


def _target(context: "TuningContext") -> int:
    assert isinstance(context.options, Options)
    target = context.options.target_batch_size
    if target is None:
        raise ConfigError("accumulate: set options.accumulate.target_batch_size, the samples of an optimizer step")
    return target


def _largest_that_fits(context: "TuningContext", sizes: list[int], most: int) -> tuple[int, int]:
    """The first of the sizes that fits, tried one after the other; and the most that may fit, as is known then."""
    rows: list[list[str | int | float | None]] = []
    for size in sizes:
        trial = context.trial(size)
        peak = None if trial.peak_bytes is None else round(trial.peak_bytes / 2**20)
        rows.append([size, trial.outcome, peak])
        if trial.fits:
            context.table("Batch sizes that divide the target", ["batch size", "outcome", "peak, MiB"], rows)
            return size, most
        most = size - 1
    raise BatchSizeError(f"accumulate: no batch size that divides the target fits; tried {sizes}")


@hookimpl
def lit_autotune_steps() -> list[TuningStep]:
    """Offer the step, between those that find the batch size and the learning rate."""
    summary = "reach target_batch_size by accumulating the gradients of the largest batches that fit and divide it"
    return [TuningStep("accumulate", run, summary, order=150, check=check, options=Options)]
