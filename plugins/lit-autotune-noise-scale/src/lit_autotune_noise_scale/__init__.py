"""Step ``noise-scale``: the batch size at which a bigger one stops paying."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from lit_autotune import ConfigError, TuningError, TuningStep, hookimpl
from lit_autotune_noise_scale.estimate import NoiseScale, noise_scale, progress, samples_needed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lit_autotune import TuningContext

LEAST_GROUPS = 8
"""An interval from fewer says nothing."""
PER_EPOCH = 4
"""So many groups an epoch is to have at least; those at its end are lost."""


class Options(BaseModel):
    """Options of the step."""

    steps: int = Field(50, ge=LEAST_GROUPS, description="steps that are measured")
    micro_batches: int = Field(4, ge=2, description="batches of each step")
    batch_size: int | None = Field(None, ge=1, description="samples of each; by default the present size, or less")
    warmup: int = Field(20, ge=0, description="steps that train before that")


def check(context: "TuningContext") -> None:
    """Refuse what has no gradients to be added up.

    Raises:
        ConfigError: Says why.
    """
    if not context.module.automatic_optimization:
        raise ConfigError("noise-scale: gradients of manual optimization cannot be accumulated; leave the step out")
    if context.trainer.world_size > 1:
        raise ConfigError("noise-scale: measures on one device; tune with Trainer(devices=1), or leave the step out")


def run(context: "TuningContext", plan: Any) -> dict[str, Any]:
    """Measure, and show what other batch sizes would come to; applies nothing.

    Raises:
        ConfigError: If an epoch is too short.
        TuningError: If the loss is lost during the warm-up, or there are too few steps.
    """
    from lit_autotune_noise_scale.gradients import Watch, norms_of

    options = context.options
    assert isinstance(options, Options)
    many = options.micro_batches
    size, accumulation = context.find_batch_size(), context.setting("trainer.accumulate_grad_batches")
    seen = context.look()
    present = (seen.batch_size or 1) * accumulation.value
    small = options.batch_size or _small(seen.batch_size or 1, seen.batches, many)
    if context.look({size: small}).batches <= many:
        raise ConfigError(
            f"noise-scale: an epoch has too few batches of {small} for {many} in a step; lower "
            "options.noise-scale.batch_size"
        )
    watch = Watch(many, options.warmup)
    trained = context.train(options.warmup + options.steps, {size: small, accumulation: many}, watch)
    if any(loss != loss or abs(loss) == float("inf") for loss in trained.losses):
        raise TuningError("noise-scale: the loss is no number any more; lower the learning rate, or warmup to 0")
    norms = norms_of(trained.seen, many)
    if len(norms) < LEAST_GROUPS:
        raise TuningError(f"noise-scale: only {len(norms)} whole steps were measured; raise options.noise-scale.steps")
    small = trained.samples or small
    found = noise_scale(norms, small, many * small)
    verdict = describe(found, present)
    context.console.line(f"Noise scale: {verdict}")
    _show(context, found, present)
    return {"verdict": verdict, "batch_size": present, "small": small, "big": many * small, **found._asdict()}


def describe(found: NoiseScale, present: int) -> str:
    """The result in one line."""
    if found.value is None:
        return "the gradient is lost in the noise; raise options.noise-scale.steps or batch_size. Bigger batches pay"
    upper = "no upper end" if found.high is None else f"{found.high:.3g}"
    text = f"{found.value:.3g} samples (95 %: {found.low:.3g} to {upper}); "
    if found.high is not None and present > found.high:
        return f"{text}the batch size {present} is beyond: a smaller one needs less data for the same progress"
    if found.low is not None and present < found.low:
        return f"{text}the batch size {present} is below: up to there twice the batch nearly halves the steps"
    return f"{text}the batch size {present} is about there: a bigger one pays less and less"


def _small(present: int, batches: float, many: int) -> int:
    """The present batch size, or what an epoch has enough of."""
    if batches == float("inf"):
        return present
    return max(1, min(present, int(present * batches) // (PER_EPOCH * many)))


def _sizes(present: int, scale: float) -> list[int]:
    """Powers of two around the scale, and the present batch size."""
    centre = max(round(scale), 1).bit_length() - 1
    return sorted({present, *(1 << power for power in range(max(centre - 3, 0), centre + 4))})


def _show(context: "TuningContext", found: NoiseScale, present: int) -> None:
    if found.value is None:
        return
    rows = [
        [
            f"{size}, present" if size == present else str(size),
            f"{progress(size, found.value):.0%}",
            f"{samples_needed(size, found.value):.2f} x" if found.value else "",
        ]
        for size in _sizes(present, found.value)
    ]
    columns = ["batch size", "progress of a step", "samples for the same progress"]
    context.table("What batch sizes come to, by the noise scale", columns, rows)
    if found.value:
        context.figure("Noise scale", draw(found, present))


def draw(found: NoiseScale, present: int) -> "Figure":
    """Steps and samples that the same progress takes, against the batch size."""
    from matplotlib.figure import Figure

    scale = found.value or 1.0
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    ends = [min(scale, present) / 16, max(scale, present) * 16]
    sizes = [ends[0] * (ends[1] / ends[0]) ** (i / 100) for i in range(101)]
    axes.plot(sizes, [1 / progress(size, scale) for size in sizes], label="steps")
    axes.plot(sizes, [samples_needed(size, scale) for size in sizes], label="samples")
    axes.axvspan(found.low or ends[0], found.high or ends[1], color="grey", alpha=0.2, label="noise scale, 95 %")
    axes.axvline(present, color="black", linestyle=":", label=f"batch size {present}")
    axes.set(xscale="log", yscale="log", xlim=ends, xlabel="batch size", ylabel="multiple of the least")
    axes.set_title("What the same progress takes", loc="left", fontweight="bold")
    axes.legend()
    return figure


@hookimpl
def lit_autotune_steps() -> list[TuningStep]:
    """Offer the step."""
    summary = "measure the gradient noise scale: above it a bigger batch stops paying"
    return [TuningStep("noise-scale", run, summary, order=150, check=check, options=Options)]
