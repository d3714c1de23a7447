"""The sweep of an LR range test, on copies."""

import math
from collections.abc import Callable, Sequence

from lit_autotune.curves import DivergenceMonitor
from lit_autotune.distributed import mean
from lit_autotune.errors import TuningError
from lit_autotune.looks import Values, without_extras
from lit_autotune.sandbox import Sandbox
from lit_autotune.stepping import Stepper
from lit_autotune.types import LRCurve


def sweep_learning_rate(
    sandbox: Sandbox,
    values: Values,
    rates: Sequence[float],
    scales: Sequence[float],
    on_point: Callable[[float, float], None] = lambda rate, loss: None,
    optimizer_index: int | None = None,
    monitor: str | None = None,
    threshold: float | None = 4.0,
) -> LRCurve:
    """Run an LR range test: one optimizer step at each rate, on copies.

    Data are cycled, nothing is validated, schedulers are off; accumulation, clipping and precision are the Trainer's.

    Args:
        sandbox: Where to run it.
        values: Settings to start from.
        rates: The ladder of rates.
        scales: What to multiply the rate by for each parameter group; keeps the ratios between them.
        on_point: Told of each rate and its loss.
        optimizer_index: The optimizer to sweep; all if not given.
        monitor: Name of a logged value to use as the loss.
        threshold: When to stop, see :class:`~lit_autotune.curves.DivergenceMonitor`.

    Returns:
        The curve, shorter than the ladder if the loss diverged.

    Raises:
        TuningError: If the module never steps the optimizer, or has no loss to show.
        ConfigError: If the monitored value is not logged.
    """
    made = sandbox.copies(values, alone=False)
    without_extras(made)
    divergence = DivergenceMonitor(threshold)
    losses: list[float] = []
    diverged = False

    def record(micro_losses: list[float]) -> bool:
        nonlocal diverged
        loss = math.fsum(micro_losses) / len(micro_losses) if micro_losses else math.nan
        loss = mean(made.trainer, loss)  # the same on all ranks, so that all stop at the same step
        losses.append(loss)
        on_point(rates[len(losses) - 1], loss)
        diverged = divergence.update(loss)
        return not diverged and len(losses) < len(rates)

    calls = 10 * len(rates) * made.trainer.accumulate_grad_batches
    run = Stepper(
        made,
        on_step=record,
        rate_of=lambda step, group: rates[min(step, len(rates) - 1)] * (scales[group] if group < len(scales) else 1.0),
        max_calls=calls,
        optimizer_index=optimizer_index,
        monitor=monitor,
    )
    sandbox.run(made)
    if not losses:
        raise TuningError(f"the range test made no optimizer step in {run.calls} batches; does training_step do one?")
    if monitor is None and not run.returned_loss:
        logged = ", ".join(sorted(made.trainer.callback_metrics)) or "nothing"
        raise TuningError(f"training_step returns no loss; name a logged value with lr_monitor (it logs {logged})")
    return LRCurve(learning_rates=tuple(rates[: len(losses)]), losses=tuple(losses), diverged=diverged)
