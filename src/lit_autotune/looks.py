"""A look at what a fit comes to: everything is set up on copies, up to the first batch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lit_autotune.attributes import Setting
from lit_autotune.distributed import on_all_ranks
from lit_autotune.plan import TrainingPlan, plan_training
from lit_autotune.sandbox import Copies, Sandbox, SeenEnoughError
from lit_autotune.stepping import allow_start, count_samples

Values = Mapping[Setting, Any]

DEFAULT_EPOCHS = 1000
"""Of a Trainer that was given neither ``max_epochs`` nor ``max_steps``."""

STEP_HOOKS = {"fit": "training_step", "validate": "validation_step", "test": "test_step", "predict": "predict_step"}
"""The module's hook that gets the batches, by what is run."""


@dataclass(frozen=True, slots=True)
class Look:
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


def look(sandbox: Sandbox, values: Values, method: str = "fit") -> Look:
    """Set everything up on copies, up to the first batch of a Trainer's method."""
    looks = on_all_ranks(sandbox.trainer, lambda: _look(sandbox, values, method))
    return replace(looks[0], most=min((look.most for look in looks if look.most is not None), default=None))


def _look(sandbox: Sandbox, values: Values, method: str) -> Look:
    made = sandbox.copies(values)
    seen: list[Any] = []
    rates: list[float] = []

    def note_rates(original: Callable[[], Any]) -> None:
        # Before the first step: the module's own optimizer_step may change them.
        peaks = _peaks(made.trainer)
        groups = [group for optimizer in made.trainer.optimizers for group in optimizer.param_groups]
        rates.extend(peaks.get(id(group), _main_rate(group)) for group in groups)
        original()

    def stop(original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        seen.extend(args[:1] or kwargs.values())
        raise SeenEnoughError

    made.wrap("on_train_start", note_rates)
    made.wrap(STEP_HOOKS[method], stop)
    if method == "fit":
        without_extras(made)
    sandbox.run(made, method)
    optimizers = made.trainer.optimizers
    return Look(
        batch_size=count_samples(made, seen[0]) if seen else None,
        batches=_total_batches(made.trainer, method),
        most=_most_samples(made.trainer, method),
        rates=tuple(rates),
        defaults=tuple(float(optimizer.defaults.get("lr", math.nan)) for optimizer in optimizers),
        schedulers=tuple(type(scheduler).__name__ for scheduler in _schedulers(made.trainer)),
    )


def training_plan(trainer: Any, seen: Look, batch_size: int | None) -> TrainingPlan:
    """What the user's Trainer will do with the batches that a look has seen.

    Args:
        trainer: The user's Trainer.
        seen: A look at its fit.
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
        found.extend(getattr(scheduler, "_schedulers", ()))
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


def _total_batches(trainer: Any, method: str) -> float:
    batches = getattr(trainer, f"{method}_loop").max_batches
    return float(sum(batches) if isinstance(batches, list) else batches)


def _most_samples(trainer: Any, method: str) -> int | None:
    """The largest batch size that still gives an epoch with a batch in it, under the Trainer's own limits."""
    combined = getattr(trainer, f"{method}_loop")._combined_loader
    if combined is None:
        return None
    sizes: list[int] = []
    dropping: list[int] = []
    for loader in combined.flattened:
        batches = getattr(loader, "batch_sampler", None)
        source = getattr(batches, "sampler", None) or getattr(loader, "sampler", None)
        try:
            samples = len(source if source is not None else loader.dataset)
        except (TypeError, AttributeError, NotImplementedError):
            continue
        sizes.append(samples)
        if getattr(batches, "drop_last", False) or getattr(loader, "drop_last", False):
            dropping.append(samples)
    if len(sizes) < len(combined.flattened):
        return min(dropping, default=None)
    most = min(dropping) if dropping else max(sizes, default=0)
    if method != "fit":
        return max(most, 1)
    if isinstance(trainer.limit_train_batches, float) and trainer.limit_train_batches < 1:
        most = int(most * trainer.limit_train_batches)
    if isinstance(trainer.val_check_interval, int) and trainer.check_val_every_n_epoch and trainer.enable_validation:
        most //= trainer.val_check_interval  # Lightning refuses an interval longer than an epoch
    return max(most, 1)


def without_extras(made: Copies) -> None:
    """No validation, no sanity check, and no limit that would keep a fit from starting."""
    made.trainer.limit_val_batches = 0
    allow_start(made.trainer)
