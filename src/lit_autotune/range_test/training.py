"""The sweep of a range test: a short training on copies, each step at the next rate."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from lit_autotune.config import HELD_OUT
from lit_autotune.copies.attributes import Values
from lit_autotune.copies.dry_run import skip_validation
from lit_autotune.copies.owners import Copies
from lit_autotune.copies.ranks import mean, step_loss
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.stepper import Stepper
from lit_autotune.curves.formulas import DivergenceMonitor
from lit_autotune.errors import TuningError
from lit_autotune.internals.loops import fetcher
from lit_autotune.previews.held_out import HeldOutLoss
from lit_autotune.trials.separate import separately
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
        steps: Optimizer steps so far, of all sweeps.
        step_seconds: Wall time of an optimizer step, in seconds: the mean of the last sweep.
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
        patience: int = 0,
    ) -> LRCurve:
        """Run an LR range test: one optimizer step at each rate, from the same state each time.

        Args:
            rates: The ladder of rates.
            threshold: When to stop, see :class:`~lit_autotune.curves.formulas.DivergenceMonitor`.
            on_point: Told of each rate and its loss.
            repeat: Begin with the batches that so many sweeps, one after the other, would come to.
            patience: Wait for the optimizer as if there were so many rates, if there are fewer.

        Returns:
            The curve, shorter than the ladder if the loss diverged.

        Raises:
            TuningError: If the module never steps the optimizer, or has no loss to show.
            ConfigError: If the monitored value is not logged, or there is nothing to validate with.
        """
        work = functools.partial(self._sweep, rates, threshold, on_point, repeat, patience)
        curve, self.step_seconds = separately(self._sandbox, work, tell=on_point)
        self.steps += len(curve.losses)
        return curve

    def _sweep(
        self,
        rates: Sequence[float],
        threshold: float | None,
        on_point: Callable[[float, float], None],
        repeat: int,
        patience: int,
    ) -> tuple[LRCurve, float]:
        """The curve, and the wall time of an optimizer step in seconds."""
        copies = self._sandbox.copies(self._values, alone=False)
        skip_validation(copies)
        held_out = HeldOutLoss(copies) if self._monitor == HELD_OUT else None
        sweep = _Sweep(copies.trainer, rates, threshold, on_point, held_out)
        accumulated = copies.trainer.accumulate_grad_batches
        if repeat:
            _skip_batches(copies, repeat, len(rates) * accumulated)
        scales = dict(enumerate(self._scales))
        stepper = Stepper(
            copies,
            on_step=sweep.record,
            rate_of=lambda step, group: rates[min(step, len(rates) - 1)] * scales.get(group, 1.0),
            max_calls=10 * max(len(rates), patience) * accumulated,
            optimizer_index=self._optimizer_index,
            monitor=None if held_out else self._monitor,
        )
        self._sandbox.run(copies)
        losses = sweep.losses
        # Not the median: the beginnings of epochs count, too.
        step_seconds = accumulated * mean(copies.trainer, fmean(stepper.step_seconds or (0.0,)))
        if not losses:
            raise TuningError(
                f"the range test made no optimizer step in {stepper.calls} batches; does training_step do one?"
            )
        if self._monitor is None and not stepper.returned_loss:
            logged = ", ".join(sorted(copies.trainer.callback_metrics)) or "nothing"
            raise TuningError(f"training_step returns no loss; name a logged value with lr_monitor (it logs {logged})")
        curve = LRCurve(
            learning_rates=tuple(rates[: len(losses)]),
            losses=tuple(losses),
            diverged=sweep.diverged,
            monitor=self._monitor,
        )
        return curve, step_seconds


class _Sweep:
    """Follows one sweep.

    Args:
        trainer: The copied Trainer.
        rates: The ladder of rates.
        threshold: When the loss has diverged.
        on_point: Told of each rate and its loss.
        held_out: Measures the loss, if it is not the training loss.

    Attributes:
        losses: The loss of each step.
        diverged: Whether the loss has diverged.
    """

    def __init__(
        self,
        trainer: Any,
        rates: Sequence[float],
        threshold: float | None,
        on_point: Callable[[float, float], None],
        held_out: HeldOutLoss | None,
    ):
        self._trainer, self._rates, self._on_point, self._held_out = trainer, rates, on_point, held_out
        self._divergence = DivergenceMonitor(threshold)
        self.losses: list[float] = []
        self.diverged = False

    def record(self, micro_losses: list[float]) -> bool:
        """Take the losses of a step; says whether to go on."""
        if self._held_out:
            loss, is_known = mean(self._trainer, self._held_out.measure()), True
        else:
            loss, is_known = step_loss(self._trainer, micro_losses)
        self.losses.append(loss)
        self._on_point(self._rates[len(self.losses) - 1], loss)
        self.diverged = is_known and self._divergence.update(loss)
        return not self.diverged and len(self.losses) < len(self._rates)


def _skip_batches(copies: Copies, times: int, count: int) -> None:
    """Let training begin ``times * count`` batches later. They are drawn, so that those after them are, too."""

    def skip(original: Callable[[], None]) -> None:
        batches = fetcher(copies.trainer)
        # Without a common divisor no two repeats begin at the same batch of an epoch that is not shuffled.
        stride = next(n for n in itertools.count(count) if math.gcd(n, batches.length or 1) == 1)
        for _ in range(times * stride):
            if next(batches, None) is None:  # the next epoch
                iter(batches)
                next(batches, None)
        original()

    copies.wrap("on_train_start", skip)
