"""Some steps of training on copies, for steps of plugins: losses, times, and what they look at meanwhile."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lit_autotune.copies.attributes import Values
from lit_autotune.copies.dry_run import skip_validation
from lit_autotune.copies.ranks import step_loss
from lit_autotune.copies.rates import current_rates
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.stepper import Stepper
from lit_autotune.errors import TuningError
from lit_autotune.trials.separate import separately

OF_THE_STEP = "lit_autotune_of_the_step"
"""Attribute of an exception that a step's own function has raised amid the user's code."""


@dataclass(frozen=True, slots=True)
class TrainedSteps:
    """What some steps of training came to.

    Attributes:
        losses: The training loss of each optimizer step; NaN where there is none.
        seconds: Wall time of each optimizer step, in seconds per full batch, loading included.
        waited: Of each batch but the first: seconds between the end of the step before and its arrival.
        rates: Of each optimizer step the learning rate of each parameter group; NaN for one without.
        samples: Samples of the first batch; ``None`` if it holds no tensor.
        seen: What ``after_backward`` returned, in the order of its calls.
    """

    losses: tuple[float, ...]
    seconds: tuple[float, ...]
    waited: tuple[float, ...]
    rates: tuple[tuple[float, ...], ...]
    samples: int | None
    seen: tuple[Any, ...]


def train(
    sandbox: Sandbox,
    steps: int,
    values: Values,
    after_backward: Callable[[Any], Any] | None = None,
    schedule_steps: int | None = None,
    optimizer_index: int | None = None,
) -> TrainedSteps:
    """Train copies; see :meth:`lit_autotune.tuning.on_copies.OnCopies.train`."""
    work = functools.partial(_train, sandbox, steps, values, after_backward, schedule_steps, optimizer_index)
    return separately(sandbox, work)


def _train(
    sandbox: Sandbox,
    steps: int,
    values: Values,
    after_backward: Callable[[Any], Any] | None,
    schedule_steps: int | None,
    optimizer_index: int | None,
) -> TrainedSteps:
    copies = sandbox.copies(values, alone=False)
    skip_validation(copies)
    losses: list[float] = []
    rates: list[tuple[float, ...]] = []
    seen: list[Any] = []
    waited: list[float] = []
    ended: list[float] = []

    def record(micro_losses: list[float]) -> bool:
        losses.append(step_loss(copies.trainer, micro_losses)[0])
        rates.append(current_rates(copies.trainer))
        return len(losses) < steps

    def arrived(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if ended:
            waited.append(time.perf_counter() - ended.pop())
        return original(*args, **kwargs)

    def batch_ended(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        ended[:] = [time.perf_counter()]
        return result

    def look(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if after_backward:
            try:
                seen.append(after_backward(copies.module))
            except BaseException as error:
                setattr(error, OF_THE_STEP, True)  # also kept on the way out of a fork
                raise
        return result

    copies.wrap("on_train_batch_start", arrived)
    copies.wrap("on_train_batch_end", batch_ended)
    copies.wrap("on_after_backward", look)
    calls = 10 * steps * copies.trainer.accumulate_grad_batches
    stepper = Stepper(
        copies, on_step=record, max_calls=calls, optimizer_index=optimizer_index, schedule_steps=schedule_steps
    )
    sandbox.run(copies)
    if not losses:
        raise TuningError(f"there was no optimizer step in {stepper.calls} batches; does training_step do one?")
    return TrainedSteps(
        losses=tuple(losses),
        seconds=stepper.step_seconds,
        waited=tuple(waited),
        rates=tuple(rates),
        samples=stepper.first_batch,
        seen=tuple(seen),
    )
