"""Optimizers that are there before ``configure_optimizers`` is called, as LightningCLI makes them: their rates.

There is no setting that they are made from, so the rate of all parameter groups is changed in the optimizer itself, in
proportion, and with it what its schedulers keep.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lit_autotune.internals.tensors import nested_schedulers

GROUP_RATES = ("lr", "initial_lr", "max_lr", "min_lr")
"""What a parameter group keeps of its rate; all but the first are schedulers'."""

SCHEDULER_RATES = ("base_lrs", "max_lrs")
"""What a scheduler keeps of them besides."""


def is_optimizer(value: object) -> bool:
    """Whether it is what Lightning takes for an optimizer, wrapped or not."""
    return not isinstance(value, type) and hasattr(value, "param_groups") and callable(getattr(value, "step", None))


def main_rate(group: Mapping[str, Any]) -> float:
    """The rate that a group's schedule is built around: a peak, else the rate before any warm-up, else its rate.

    NaN if the group has none.
    """
    rate = group.get("max_lr", group.get("initial_lr", group.get("lr")))
    return math.nan if rate is None else float(rate)


def template_rate(optimizer: Any) -> float:
    """The rate of an optimizer that is there already: that of its first group that has one."""
    return next((rate for group in optimizer.param_groups if (rate := main_rate(group)) > 0), math.nan)


def set_rate(optimizer: Any, neighbours: Iterable[Any], value: float) -> None:
    """Give an optimizer another rate. Groups keep their ratios, and schedulers among the neighbours go along."""
    old = template_rate(optimizer)
    for group in optimizer.param_groups:
        for name in GROUP_RATES:
            if group.get(name) is not None:
                group[name] = value * (group[name] / old)
    schedulers = [one for one in neighbours if getattr(one, "optimizer", None) is optimizer]
    for scheduler in schedulers:
        schedulers.extend(nested_schedulers(scheduler))
        for name in SCHEDULER_RATES:
            if isinstance(rates := getattr(scheduler, name, None), list):
                setattr(scheduler, name, [value * (rate / old) for rate in rates])
