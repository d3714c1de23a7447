"""A look at what a fit comes to: everything is set up on copies, up to the first batch."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lit_autotune.copies.attributes import Values
from lit_autotune.copies.callbacks import SeenEnoughError
from lit_autotune.copies.guard import LeakError
from lit_autotune.copies.owners import Copies, overrides
from lit_autotune.copies.ranks import everywhere
from lit_autotune.copies.rates import HighestRates, all_schedulers, highest_rates, rate_of
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.supplies import shapes_of, supplies_of
from lit_autotune.errors import ConfigError
from lit_autotune.internals.loops import (
    allow_start,
    count_samples,
    has_validation_loaders,
    loaders_in_use,
    total_batches,
    validation_loaders,
)
from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.strategies import replicas
from lit_autotune.planning.plan import TrainingPlan, plan_training
from lit_autotune.planning.supply import Shapes, Supply

DEFAULT_EPOCHS = 1000
"""Of a Trainer that was given neither ``max_epochs`` nor ``max_steps``."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a fit comes to, seen without computing a single step.

    Attributes:
        batch_size: Samples in the first training batch; ``None`` if it holds no tensor.
        shapes: The sizes of all that the first batch is made of.
        batches: Training batches in an epoch; infinite if unknown.
        supplies: What the loaders say of themselves.
        validation: The same for the validation of a fit; empty if there is none, or it was not asked for.
        rates: For each parameter group the highest learning rate of its schedule; NaN if it has none.
        still_rising: Whether the training ends before they stop to rise.
        defaults: Each optimizer's own default rate, which no scheduler changes.
        schedulers: Class names of the learning-rate schedulers, and of those that they are made of.
    """

    batch_size: int | None
    shapes: Shapes
    batches: float
    supplies: tuple[Supply, ...]
    validation: tuple[Supply, ...]
    rates: tuple[float, ...]
    still_rising: bool
    defaults: tuple[float, ...]
    schedulers: tuple[str, ...]

    def check_batches(self) -> None:
        """Refuse a training without a single batch.

        Raises:
            ConfigError: Says what may keep it from having one.
        """
        if not self.batches:
            raise ConfigError(
                "there is no training batch to try anything on; look at limit_train_batches, and whether the data fill "
                "one"
            )


def dry_run(
    sandbox: Sandbox, values: Values, method: str = "fit", with_schedule: bool = False, validates: bool = False
) -> DryRun:
    """Set everything up on copies, up to the first batch of a Trainer's method.

    Args:
        sandbox: Makes the copies.
        values: What to write to them.
        method: The Trainer's method.
        with_schedule: Go through the schedule of the learning rates, too; there are no ``rates`` otherwise.
        validates: Whether to look at the loaders of a fit's validation, too.
    """
    look = functools.partial(_dry_run, sandbox, values, method, with_schedule, validates)
    runs = everywhere(sandbox, look)
    return replace(
        runs[0],
        supplies=_least(run.supplies for run in runs),
        validation=_least(run.validation for run in runs),
    )


def _least(supplies_by_rank: Iterable[tuple[Supply, ...]]) -> tuple[Supply, ...]:
    """Loader by loader what the rank with the fewest samples has."""
    return tuple(
        min(loaders, key=lambda supply: math.inf if supply.samples is None else supply.samples)
        for loaders in zip(*supplies_by_rank, strict=True)
    )


def _dry_run(sandbox: Sandbox, values: Values, method: str, with_schedule: bool, validates: bool) -> DryRun:
    copies = sandbox.copies(values)
    seen: list[Any] = []
    reached: list[HighestRates] = []
    validation: list[Supply] = []
    validates = validates and copies.trainer.limit_val_batches and overrides(copies.module, "validation_step")

    def look(original: Callable[[], Any]) -> None:
        # Before the first step: the module's own optimizer_step may change the rates.
        if with_schedule:
            reached.append(highest_rates(copies.trainer, plan_of(copies.trainer)))
        if validates:
            validation.extend(_validation(copies.trainer))
        original()

    def stop(original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        seen.extend(args[:1] or kwargs.values())
        raise SeenEnoughError

    copies.wrap("on_train_start", look)
    copies.wrap(METHODS[method].step, stop)
    if method == "fit":
        skip_validation(copies)
    with contextlib.suppress(LeakError):  # no step was run that could tell anything false
        sandbox.run(copies, method)
    optimizers = copies.trainer.optimizers
    return DryRun(
        batch_size=count_samples(copies.trainer, seen[0]) if seen else None,
        shapes=shapes_of(seen[0]) if seen else {},
        batches=total_batches(copies.trainer, method),
        supplies=supplies_of(loaders_in_use(getattr(copies.trainer, METHODS[method].loop))),
        validation=tuple(validation),
        rates=reached[0].rates if reached else (),
        still_rising=bool(reached) and reached[0].still_rising,
        defaults=tuple(rate_of(optimizer.defaults) for optimizer in optimizers),
        schedulers=tuple(type(scheduler).__name__ for scheduler in all_schedulers(copies.trainer)),
    )


def _validation(trainer: Any) -> Iterator[Supply]:
    """What the loaders of a fit's validation say of themselves, for one of the ranks."""
    if has_validation_loaders(trainer):
        # Not yet shared among the ranks, as those of the training are.
        for one in supplies_of(validation_loaders(trainer)):
            yield one._replace(samples=one.samples and one.samples // replicas(trainer))


def training_plan(trainer: Any, seen: DryRun, batch_size: int | None) -> TrainingPlan:
    """What the user's Trainer will do with the batches that a dry run has seen.

    Args:
        trainer: The user's Trainer.
        seen: A dry run of its fit.
        batch_size: The batch size that it had, if it is known; else that of the first batch.
    """
    return _plan(trainer, seen.batches, batch_size or seen.batch_size)


def plan_of(trainer: Any) -> TrainingPlan:
    """What a fit comes to that has begun and has its limits still."""
    return _plan(trainer, total_batches(trainer, "fit"), None)


def _plan(trainer: Any, batches: float, batch_size: int | None) -> TrainingPlan:
    limit = trainer.limit_train_batches
    # What Lightning, too, makes of no limit at all, though only when the fit begins.
    max_epochs = DEFAULT_EPOCHS if trainer.max_epochs is None and trainer.max_steps == -1 else trainer.max_epochs
    return plan_training(
        batches,
        batch_size,
        accumulate=trainer.accumulate_grad_batches,
        devices=replicas(trainer),
        max_epochs=max_epochs,
        max_steps=trainer.max_steps,
        batches_are_fixed=isinstance(limit, int) and batches == limit,
    )


def skip_validation(copies: Copies) -> None:
    """No validation, no sanity check, and no limit that would keep a fit from starting."""
    copies.trainer.limit_val_batches = 0
    allow_start(copies.trainer)
