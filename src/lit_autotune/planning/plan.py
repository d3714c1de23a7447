"""What the training to come amounts to: optimizer steps in an epoch and in all, samples in all. Pure numbers."""

import math
from typing import Literal

from lit_autotune._shared.record import Record


class TrainingPlan(Record):
    """The training that the Trainer's limits and the data make, as far as it is known beforehand.

    Attributes:
        batch_size: Samples of a batch on one device; ``None`` if unknown.
        batches_per_epoch: Training batches of an epoch on one device; ``None`` if unknown or without end.
        accumulate_grad_batches: Batches of one optimizer step.
        devices: Processes that train together.
        max_epochs: The Trainer's limit on epochs; ``None`` if there is none.
        max_steps: The Trainer's limit on optimizer steps; ``None`` if there is none.
        epochs: Epochs that are begun; ``None`` if unknown or without end.
        steps_per_epoch: Optimizer steps of an epoch; ``None`` if unknown.
        steps: Optimizer steps in all; ``None`` if unknown or without end.
        samples: Samples in all, those of all devices; ``None`` if unknown.
        limit: What ends the training: ``"epochs"`` or ``"steps"``; ``None`` if nothing does.
        batches_are_fixed: Whether an epoch has as many batches with any batch size, as with a ``limit_train_batches``
            below what the data hold.
    """

    batch_size: int | None
    batches_per_epoch: int | None
    accumulate_grad_batches: int = 1
    devices: int = 1
    max_epochs: int | None = None
    max_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    steps: int | None = None
    samples: int | None = None
    limit: Literal["epochs", "steps"] | None = None
    batches_are_fixed: bool = False

    @property
    def steps_are_fixed(self) -> bool:
        """Whether a larger batch makes each step dearer, and no fewer of them."""
        return self.limit == "steps" or self.batches_are_fixed

    @property
    def samples_per_step(self) -> int:
        """Samples of an optimizer step on one device; batches where the batch size is unknown."""
        return (self.batch_size or 1) * self.accumulate_grad_batches

    def resized(self, batch_size: int) -> "TrainingPlan":
        """The same training with another batch size."""
        batches = self.batches_per_epoch
        if batches is not None and self.batch_size and not self.batches_are_fixed:
            batches = math.ceil(batches * self.batch_size / batch_size)
        return self._planned(batches, batch_size, self.accumulate_grad_batches)

    def accumulating(self, batches: int) -> "TrainingPlan":
        """The same training with so many batches for an optimizer step."""
        return self._planned(self.batches_per_epoch, self.batch_size, batches)

    def _planned(self, batches: float | None, batch_size: int | None, accumulate: int) -> "TrainingPlan":
        return plan_training(
            batches,
            batch_size,
            accumulate=accumulate,
            devices=self.devices,
            max_epochs=self.max_epochs,
            max_steps=self.max_steps,
            batches_are_fixed=self.batches_are_fixed,
        )

    def __str__(self) -> str:
        if self.steps is None:
            return "without an end that is known"
        epochs = f" in {self.epochs} epoch{'s' if self.epochs != 1 else ''}" if self.epochs else ""
        each = f" of {self.steps_per_epoch:,}" if self.steps_per_epoch and self.epochs and self.epochs > 1 else ""
        return f"{self.steps:,} optimizer steps{epochs}{each}"


def plan_training(
    batches: float | None,
    batch_size: int | None,
    *,
    accumulate: int = 1,
    devices: int = 1,
    max_epochs: int | None = None,
    max_steps: int | None = None,
    batches_are_fixed: bool = False,
) -> TrainingPlan:
    """The plan that a Trainer's limits make.

    Args:
        batches: Training batches of an epoch on one device; ``None`` or infinite if unknown.
        batch_size: Samples of a batch on one device.
        accumulate: Batches of one optimizer step. An epoch's last step may have fewer.
        devices: Processes that train together.
        max_epochs: At most this many epochs; ``None`` or -1 for no limit.
        max_steps: At most this many optimizer steps; ``None`` or -1 for no limit.
        batches_are_fixed: Whether the batch size does not change ``batches``.
    """
    batches = int(batches) if batches is not None and math.isfinite(batches) else None
    most_epochs = max_epochs if max_epochs is not None and max_epochs >= 0 else None
    most_steps = max_steps if max_steps is not None and max_steps >= 0 else None
    per_epoch = None if batches is None else math.ceil(batches / accumulate)
    by_epochs = None if per_epoch is None or most_epochs is None else per_epoch * most_epochs
    bounds = [bound for bound in (by_epochs, most_steps) if bound is not None]
    steps = min(bounds, default=None)
    limit: Literal["epochs", "steps"] | None = None
    if steps is not None:
        limit = "steps" if most_steps is not None and (by_epochs is None or most_steps < by_epochs) else "epochs"
    epochs = most_epochs if limit != "steps" else None if not per_epoch or steps is None else -(-steps // per_epoch)
    samples = None
    if steps is not None and batch_size:
        whole = batches * epochs if batches is not None and epochs is not None and limit == "epochs" else None
        samples = (whole if whole is not None else steps * accumulate) * batch_size * devices
    return TrainingPlan(
        batch_size=batch_size,
        batches_per_epoch=batches,
        accumulate_grad_batches=accumulate,
        devices=devices,
        max_epochs=most_epochs,
        max_steps=most_steps,
        epochs=epochs,
        steps_per_epoch=per_epoch,
        steps=steps,
        samples=samples,
        limit=limit,
        batches_are_fixed=batches_are_fixed,
    )
