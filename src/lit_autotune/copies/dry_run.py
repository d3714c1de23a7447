"""A look at what a fit comes to: everything is set up on copies, up to the first batch."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lit_autotune.copies.attributes import Values
from lit_autotune.copies.ranks import on_all_ranks
from lit_autotune.copies.sandbox import Copies, Sandbox, SeenEnoughError, overrides
from lit_autotune.copies.supplies import shapes_of, supplies_of
from lit_autotune.internals.loops import (
    allow_start,
    count_samples,
    has_validation_loaders,
    loaders_in_use,
    total_batches,
    validation_loaders,
)
from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.tensors import nested_schedulers
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
        rates: For each parameter group the learning rate that its training is about.
        defaults: Each optimizer's own default rate, which no scheduler changes.
        schedulers: Class names of the learning-rate schedulers, and of those that they are made of.
    """

    batch_size: int | None
    shapes: Shapes
    batches: float
    supplies: tuple[Supply, ...]
    validation: tuple[Supply, ...]
    rates: tuple[float, ...]
    defaults: tuple[float, ...]
    schedulers: tuple[str, ...]


def dry_run(sandbox: Sandbox, values: Values, method: str = "fit", validates: bool = False) -> DryRun:
    """Set everything up on copies, up to the first batch of a Trainer's method.

    Args:
        sandbox: Makes the copies.
        values: What to write to them.
        method: The method.
        validates: Whether to look at the loaders of a fit's validation, too.
    """
    runs = on_all_ranks(sandbox.trainer, lambda: _dry_run(sandbox, values, method, validates))
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


def _dry_run(sandbox: Sandbox, values: Values, method: str, validates: bool) -> DryRun:
    copies = sandbox.copies(values)
    seen: list[Any] = []
    rates: list[float] = []
    validation: list[Supply] = []
    validates = validates and copies.trainer.limit_val_batches and overrides(copies.module, "validation_step")

    def note_rates(original: Callable[[], Any]) -> None:
        # Before the first step: the module's own optimizer_step may change them.
        peaks = _peaks(copies.trainer)
        groups = [group for optimizer in copies.trainer.optimizers for group in optimizer.param_groups]
        rates.extend(peaks.get(id(group), _main_rate(group)) for group in groups)
        if validates and has_validation_loaders(copies.trainer):
            # Not yet shared among the ranks, as those of the training are.
            whole, ranks = supplies_of(validation_loaders(copies.trainer)), copies.trainer.world_size
            validation.extend(one._replace(samples=one.samples and one.samples // ranks) for one in whole)
        original()

    def stop(original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        seen.extend(args[:1] or kwargs.values())
        raise SeenEnoughError

    copies.wrap("on_train_start", note_rates)
    copies.wrap(METHODS[method].step, stop)
    if method == "fit":
        skip_validation(copies)
    sandbox.run(copies, method)
    optimizers = copies.trainer.optimizers
    return DryRun(
        batch_size=count_samples(copies.trainer, seen[0]) if seen else None,
        shapes=shapes_of(seen[0]) if seen else {},
        batches=total_batches(copies.trainer, method),
        supplies=supplies_of(loaders_in_use(getattr(copies.trainer, METHODS[method].loop))),
        validation=tuple(validation),
        rates=tuple(rates),
        defaults=tuple(float(optimizer.defaults.get("lr", math.nan)) for optimizer in optimizers),
        schedulers=tuple(type(scheduler).__name__ for scheduler in _schedulers(copies.trainer)),
    )


def training_plan(trainer: Any, seen: DryRun, batch_size: int | None) -> TrainingPlan:
    """What the user's Trainer will do with the batches that a dry run has seen.

    Args:
        trainer: The user's Trainer.
        seen: A dry run of its fit.
        batch_size: The batch size that it had, if it is known; else that of the first batch.
    """
    limit = trainer.limit_train_batches
    # What Lightning, too, makes of no limit at all, though only when the fit begins.
    max_epochs = DEFAULT_EPOCHS if trainer.max_epochs is None and trainer.max_steps == -1 else trainer.max_epochs
    return plan_training(
        seen.batches,
        batch_size or seen.batch_size,
        accumulate=trainer.accumulate_grad_batches,
        devices=trainer.world_size,
        max_epochs=max_epochs,
        max_steps=trainer.max_steps,
        batches_are_fixed=isinstance(limit, int) and seen.batches == limit,
    )


def _schedulers(trainer: Any) -> list[Any]:
    """All learning-rate schedulers, with those that a ``SequentialLR`` or ``ChainedScheduler`` is made of."""
    found = [config.scheduler for config in trainer.lr_scheduler_configs]
    for scheduler in found:
        found.extend(nested_schedulers(scheduler))
    return found


def _peaks(trainer: Any) -> dict[int, float]:
    """The peak rates that schedulers keep to themselves (CyclicLR), by the id of the parameter group."""
    return {
        id(group): float(peak)
        for scheduler in _schedulers(trainer)
        if hasattr(scheduler, "max_lrs")
        for group, peak in zip(scheduler.optimizer.param_groups, scheduler.max_lrs, strict=False)
    }


def _main_rate(group: Mapping[str, Any]) -> float:
    """The rate that a group's schedule is built around: a peak, else the rate before any warm-up, else its rate."""
    return float(group.get("max_lr", group.get("initial_lr", group["lr"])))


def skip_validation(copies: Copies) -> None:
    """No validation, no sanity check, and no limit that would keep a fit from starting."""
    copies.trainer.limit_val_batches = 0
    allow_start(copies.trainer)
