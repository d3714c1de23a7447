"""The highest learning rates that an optimizer and its schedulers reach in a training."""

import contextlib
import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MethodType
from typing import Any

from lit_autotune.copies.numeric import in_kind
from lit_autotune.copies.ready_optimizers import is_optimizer, main_rate
from lit_autotune.curves.schedules import ShortenedSchedule
from lit_autotune.errors import ConfigError
from lit_autotune.internals.tensors import nested_schedulers
from lit_autotune.planning.plan import TrainingPlan

PATIENCE = 10_000
"""Steps of a schedule without a new highest rate after which there will be none; twice as long a rise counts, too."""

PULLED_OUT = "SWALR"
"""A scheduler that leads to a rate of its own at the end, which says nothing of the rates before."""


@dataclass(frozen=True, slots=True)
class HighestRates:
    """The highest rates of a training.

    Attributes:
        rates: That of each parameter group; NaN for one without a rate.
        still_rising: Whether one of them is that of the last step.
    """

    rates: tuple[float, ...]
    still_rising: bool


def highest_rates(trainer: Any, plan: TrainingPlan) -> HighestRates:
    """The highest rate of each parameter group over the planned steps.

    Schedulers are run, so the Trainer has to be a copy. A peak that a scheduler declares (OneCycleLR, CyclicLR) counts
    whether it is reached or not. Custom schedulers are not run: nobody but the module knows how.
    """
    groups = _groups(trainer)
    configs = [config for config in trainer.lr_scheduler_configs if is_torchs(config.scheduler)]
    custom = [config for config in trainer.lr_scheduler_configs if not is_torchs(config.scheduler)]
    followed = _groups_of(configs) - _groups_of(custom)
    declared = _declared_peaks(trainer)
    followed -= declared.keys() | {id(group) for group in groups if "max_lr" in group}
    walked, still_rising = _walk(trainer, groups, configs, plan)
    rates = (
        rate if id(group) in followed else declared.get(id(group), main_rate(group))
        for group, rate in zip(groups, walked, strict=True)
    )
    return HighestRates(tuple(rates), still_rising and bool(followed))


def _groups_of(configs: Iterable[Any]) -> set[int]:
    return {id(group) for config in configs for group in config.scheduler.optimizer.param_groups}


def _walk(trainer: Any, groups: list[Any], configs: list[Any], plan: TrainingPlan) -> tuple[list[float], bool]:
    """Run torch's schedulers through the planned steps, or epochs where that is enough.

    Returns:
        The highest rates, and whether one of them came last.
    """
    highest = [rate_of(group) for group in groups]
    # By hand a scheduler may be stepped whenever the module likes.
    by_hand = not trainer.lightning_module.automatic_optimization
    each_step = by_hand or any(config.interval == "step" for config in configs)
    epochs = plan.epochs or plan.max_epochs or PATIENCE
    steps = (plan.steps or 2 * PATIENCE) if each_step else epochs
    patience = PATIENCE + 2 * ((plan.steps_per_epoch or 0) if each_step else 0)
    schedule = ShortenedSchedule(steps, steps, steps if by_hand else epochs)
    for config in configs:
        if type(config.scheduler).__name__ != PULLED_OUT:
            schedule.add(config, plan.accumulate_grad_batches)
    risen = 0
    # A schedule may end before the training; that is for fit to complain of.
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        for done in range(1, steps if configs else 1):
            schedule.advance(done)
            rates = [rate_of(group) for group in groups]
            if any(rate > high for rate, high in zip(rates, highest, strict=True)):
                highest, risen = [max(pair) for pair in zip(highest, rates, strict=True)], done
            elif done > 2 * risen + patience:
                break
    return highest, 0 < risen == steps - 1


def current_rates(trainer: Any) -> tuple[float, ...]:
    """The rate that each parameter group has now; NaN for one without."""
    return tuple(map(rate_of, _groups(trainer)))


def _groups(trainer: Any) -> list[Any]:
    return [group for optimizer in trainer.optimizers for group in optimizer.param_groups]


def rate_of(group: Mapping[str, Any]) -> float:
    """The rate of a parameter group, or of an optimizer's defaults; NaN if there is none."""
    rate = group.get("lr")
    return math.nan if rate is None else float(rate)


def is_torchs(scheduler: Any) -> bool:
    """Whether it is one of torch's, which are stepped without arguments."""
    from torch.optim.lr_scheduler import LRScheduler

    return isinstance(scheduler, LRScheduler)


def all_schedulers(trainer: Any) -> list[Any]:
    """All learning-rate schedulers, with those that a ``SequentialLR`` or ``ChainedScheduler`` is made of."""
    found = [config.scheduler for config in trainer.lr_scheduler_configs]
    for scheduler in found:
        found.extend(nested_schedulers(scheduler))
    return found


def _declared_peaks(trainer: Any) -> dict[int, float]:
    """The peak rates that schedulers keep to themselves (CyclicLR), by the id of the parameter group."""
    return {
        id(group): float(peak)
        for scheduler in all_schedulers(trainer)
        if hasattr(scheduler, "max_lrs")
        for group, peak in zip(scheduler.optimizer.param_groups, scheduler.max_lrs, strict=False)
    }


def set_group_rate(optimizer: Any, index: int, rate: float) -> None:
    """Set the rate of one parameter group, and in proportion that of an optimizer inside that has groups of its own.

    Raises:
        ConfigError: If the optimizer does not let it be set.
    """
    group = optimizer.param_groups[index]
    old = rate_of(group)
    for inner in filter(is_optimizer, vars(optimizer).values()):
        own = inner.param_groups[index] if index < len(inner.param_groups) else group
        if own is not group and own.get("lr") is not None and old > 0:
            own["lr"] = own["lr"] * (rate / old)
    group["lr"] = in_kind(group.get("lr"), rate)
    if not math.isclose(rate_of(optimizer.param_groups[index]), rate, rel_tol=1e-6):
        raise ConfigError(
            f"the learning rate of {type(optimizer).__name__} cannot be set through its param_groups, so that none can "
            "be tried; let param_groups be those of the optimizer inside, or set use_learning_rate_tuning = false"
        )


def wrap_step(optimizer: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Have something called before and after each step of an optimizer, of whatever class it is.

    torch's own hooks are not used: what only looks like an optimizer, or wraps one, does not have them.
    """
    original = optimizer.step

    @functools.wraps(original)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        before()
        result = original(*args, **kwargs)
        after()
        return result

    # A method, for schedulers that are made later look for one; past a __setattr__ that hands on to the one inside.
    vars(optimizer)["step"] = MethodType(step, optimizer)
