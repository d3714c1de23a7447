"""A look at what a fit comes to: everything is set up on copies, up to the first batch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lit_autotune.copies.attributes import Values
from lit_autotune.copies.ranks import on_all_ranks
from lit_autotune.copies.sandbox import Copies, Sandbox, SeenEnoughError
from lit_autotune.errors import ConfigError
from lit_autotune.internals.loops import allow_start, count_samples, most_samples, total_batches
from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.tensors import nested_schedulers
from lit_autotune.planning.plan import TrainingPlan, plan_training

DEFAULT_EPOCHS = 1000
"""Of a Trainer that was given neither ``max_epochs`` nor ``max_steps``."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a fit comes to, seen without computing a single step.

    Attributes:
        batch_size: Samples in the first training batch; ``None`` if it holds no tensor.
        batches: Training batches in an epoch; infinite if unknown.
        most: The largest batch size the data can fill; ``None`` if unknown.
        rates: For each parameter group the learning rate that its training is about.
        defaults: Each optimizer's own default rate, which no scheduler changes.
        schedulers: Class names of the learning-rate schedulers, and of those that they are made of.
    """

    batch_size: int | None
    batches: float
    most: int | None
    rates: tuple[float, ...]
    defaults: tuple[float, ...]
    schedulers: tuple[str, ...]


def dry_run(sandbox: Sandbox, values: Values, method: str = "fit") -> DryRun:
    """Set everything up on copies, up to the first batch of a Trainer's method."""
    runs = on_all_ranks(sandbox.trainer, lambda: _dry_run(sandbox, values, method))
    return replace(runs[0], most=min((run.most for run in runs if run.most is not None), default=None))


def _dry_run(sandbox: Sandbox, values: Values, method: str) -> DryRun:
    copies = sandbox.copies(values)
    seen: list[Any] = []
    rates: list[float] = []

    def note_rates(original: Callable[[], Any]) -> None:
        # Before the first step: the module's own optimizer_step may change them.
        peaks = _peaks(copies.trainer)
        groups = [group for optimizer in copies.trainer.optimizers for group in optimizer.param_groups]
        rates.extend(peaks.get(id(group), _main_rate(group)) for group in groups)
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
        batches=total_batches(copies.trainer, method),
        most=most_samples(copies.trainer, method),
        rates=tuple(rates),
        defaults=tuple(float(optimizer.defaults.get("lr", math.nan)) for optimizer in optimizers),
        schedulers=tuple(type(scheduler).__name__ for scheduler in _schedulers(copies.trainer)),
    )


def check_batches(seen: DryRun) -> None:
    """Refuse a training without a single batch.

    Raises:
        ConfigError: Says what may keep it from having one.
    """
    if not seen.batches:
        raise ConfigError(
            "there is no training batch to try anything on; look at limit_train_batches, and whether the data fill one"
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
