"""Short trainings on copies at given learning rates: what range tests are made of."""

import itertools
import math
from collections.abc import Callable, Sequence
from statistics import fmean

from lit_autotune.curves import DivergenceMonitor
from lit_autotune.distributed import mean
from lit_autotune.errors import TuningError
from lit_autotune.held_out import HELD_OUT, HeldOutLoss
from lit_autotune.looks import Values, without_extras
from lit_autotune.sandbox import Copies, Sandbox
from lit_autotune.stepping import Stepper
from lit_autotune.types import LRCurve


class Training:
    """Trains on copies, each time from the same state.

    Data are cycled, nothing is validated, schedulers are off; accumulation, clipping and precision are the Trainer's.

    Args:
        sandbox: Where to run it.
        values: Settings to start from.
        scales: What to multiply a rate by for each parameter group; keeps the ratios between them.
        optimizer_index: The optimizer whose rates to set; all if not given.
        monitor: Name of a logged value to use as the loss; ``"val"``: that of a validation batch after each step.

    Attributes:
        steps: Optimizer steps so far, of all trainings.
        step_seconds: Wall time of an optimizer step, in seconds: the mean of the last training.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        values: Values,
        scales: Sequence[float],
        optimizer_index: int | None = None,
        monitor: str | None = None,
    ):
        self._sandbox, self._values, self._scales = sandbox, values, scales
        self._optimizer_index, self._monitor = optimizer_index, monitor
        self.steps = 0
        self.step_seconds = 0.0

    def sweep(
        self,
        rates: Sequence[float],
        threshold: float | None = 4.0,
        on_point: Callable[[float, float], None] = lambda rate, loss: None,
        repeat: int = 0,
    ) -> LRCurve:
        """Run an LR range test: one optimizer step at each rate.

        Args:
            rates: The ladder of rates.
            threshold: When to stop, see :class:`~lit_autotune.curves.DivergenceMonitor`.
            on_point: Told of each rate and its loss.
            repeat: See :meth:`run`.

        Returns:
            The curve, shorter than the ladder if the loss diverged.

        Raises:
            TuningError: As :meth:`run`.
            ConfigError: As :meth:`run`.
        """
        divergence = DivergenceMonitor(threshold)
        diverged = False

        def is_over(loss: float) -> bool:
            nonlocal diverged
            diverged = divergence.update(loss)
            return diverged

        losses = self.run(rates, is_over, on_point, repeat)
        return LRCurve(
            learning_rates=tuple(rates[: len(losses)]), losses=tuple(losses), diverged=diverged, monitor=self._monitor
        )

    def run(
        self,
        rates: Sequence[float],
        is_over: Callable[[float], bool],
        on_point: Callable[[float, float], None] = lambda rate, loss: None,
        repeat: int = 0,
    ) -> list[float]:
        """Train for one optimizer step at each rate, from the same state and on the same batches each time.

        Args:
            rates: The rate of each step.
            is_over: Told of each loss; says whether to stop.
            on_point: Told of each rate and its loss.
            repeat: Begin with the batches that so many such trainings, one after the other, would come to.

        Returns:
            The losses.

        Raises:
            TuningError: If the module never steps the optimizer, or has no loss to show.
            ConfigError: If the monitored value is not logged, or there is nothing to validate with.
        """
        made = self._sandbox.copies(self._values, alone=False)
        without_extras(made)
        held_out = HeldOutLoss(made) if self._monitor == HELD_OUT else None
        monitor = None if held_out else self._monitor
        losses: list[float] = []

        def record(micro_losses: list[float]) -> bool:
            if held_out:
                loss = held_out.measure()
            else:
                loss = math.fsum(micro_losses) / len(micro_losses) if micro_losses else math.nan
            loss = mean(made.trainer, loss)  # the same on all ranks, so that all stop at the same step
            losses.append(loss)
            on_point(rates[len(losses) - 1], loss)
            # A step of a few samples only, the last of an epoch, is none that diverged, nor one whose loss is missing.
            is_known = held_out is not None or mean(made.trainer, float(bool(micro_losses))) > 0
            return not (is_known and is_over(loss)) and len(losses) < len(rates)

        accumulated = made.trainer.accumulate_grad_batches
        if repeat:
            _skip_batches(made, repeat, len(rates) * accumulated)
        scales = dict(enumerate(self._scales))
        stepper = Stepper(
            made,
            on_step=record,
            rate_of=lambda step, group: rates[min(step, len(rates) - 1)] * scales.get(group, 1.0),
            max_calls=10 * len(rates) * accumulated,
            optimizer_index=self._optimizer_index,
            monitor=monitor,
        )
        self._sandbox.run(made)
        self.steps += len(losses)
        # Not the median: the beginnings of epochs count, too.
        self.step_seconds = accumulated * mean(made.trainer, fmean(stepper.step_seconds or (0.0,)))
        if not losses:
            raise TuningError(
                f"the range test made no optimizer step in {stepper.calls} batches; does training_step do one?"
            )
        if self._monitor is None and not stepper.returned_loss:
            logged = ", ".join(sorted(made.trainer.callback_metrics)) or "nothing"
            raise TuningError(f"training_step returns no loss; name a logged value with lr_monitor (it logs {logged})")
        return losses


def _skip_batches(made: Copies, times: int, count: int) -> None:
    """Let training begin ``times * count`` batches later. They are drawn, so that those after them are, too."""

    def skip(original: Callable[[], None]) -> None:
        batches = made.trainer.fit_loop._data_fetcher
        # Without a common divisor no two repeats begin at the same batch of an epoch that is not shuffled.
        stride = next(n for n in itertools.count(count) if math.gcd(n, batches.length or 1) == 1)
        for _ in range(times * stride):
            if next(batches, None) is None:  # the next epoch
                iter(batches)
                next(batches, None)
        original()

    made.wrap("on_train_start", skip)
