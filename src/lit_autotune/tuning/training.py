"""Some steps of training on copies, for steps of plugins: losses, times, and what they look at meanwhile."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lit_autotune.copies.attributes import Values
from lit_autotune.copies.dry_run import skip_validation
from lit_autotune.copies.owners import Copies
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
    followed = _Followed(copies, steps, after_backward)
    stepper = Stepper(
        copies,
        on_step=followed.record,
        max_calls=10 * steps * copies.trainer.accumulate_grad_batches,
        optimizer_index=optimizer_index,
        schedule_steps=schedule_steps,
    )
    sandbox.run(copies)
    if not followed.losses:
        raise TuningError(f"there was no optimizer step in {stepper.calls} batches; does training_step do one?")
    return TrainedSteps(
        losses=tuple(followed.losses),
        seconds=stepper.step_seconds,
        waited=tuple(followed.waited),
        rates=tuple(followed.rates),
        samples=stepper.first_batch,
        seen=tuple(followed.seen),
    )


class _Followed:
    """Follows some steps of training.

    Args:
        copies: What is trained.
        steps: Optimizer steps.
        after_backward: The step's own function.
    """

    def __init__(self, copies: Copies, steps: int, after_backward: Callable[[Any], Any] | None):
        self._copies, self._steps, self._after_backward = copies, steps, after_backward
        self._ended: float | None = None
        self.losses: list[float] = []
        self.rates: list[tuple[float, ...]] = []
        self.waited: list[float] = []
        self.seen: list[Any] = []
        copies.wrap("on_train_batch_start", self._arrived)
        copies.wrap("on_train_batch_end", self._batch_ended)
        copies.wrap("on_after_backward", self._look)

    def record(self, micro_losses: list[float]) -> bool:
        """Take the losses of a step; says whether to go on."""
        self.losses.append(step_loss(self._copies.trainer, micro_losses)[0])
        self.rates.append(current_rates(self._copies.trainer))
        return len(self.losses) < self._steps

    def _arrived(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._ended is not None:
            self.waited.append(time.perf_counter() - self._ended)
        return original(*args, **kwargs)

    def _batch_ended(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        self._ended = time.perf_counter()
        return result

    def _look(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if self._after_backward:
            try:
                self.seen.append(self._after_backward(self._copies.module))
            except BaseException as error:
                vars(error)[OF_THE_STEP] = True  # also kept on the way out of a fork
                raise
        return result
