"""What is known before a search for a batch size."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lit_autotune._shared.text import first_line
from lit_autotune.config import Method, TunerConfig
from lit_autotune.copies.attributes import Setting
from lit_autotune.copies.dry_run import DryRun, dry_run, training_plan
from lit_autotune.copies.effect import prove_effect
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError, is_users_own
from lit_autotune.internals.methods import METHODS
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.planning.supply import (
    Filling,
    are_the_same,
    estimated_samples,
    find_filling,
    largest_filled,
    within_limits,
)
from lit_autotune.trials.batches import check_probe

CLIMB = 6
"""So often the first size is doubled where the data cannot be set up with it, and no present size is known."""


SMALL = (2, 4)
"""Sizes that data fill if they fill any."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What is known before a search.

    Attributes:
        setting: Where the batch size is kept.
        init_val: Size of the first trial.
        max_val: Largest size to try, if there is one.
        data_hold: Largest size the data can fill, under the Trainer's limits, if they know it.
        filling: How to see whether a batch is full, where that has to be checked.
        epoch: Samples of an epoch whose last batch may have fewer than the others; ``None`` if there is none such.
        training: The training to come, with the present batch size if there is one; ``None`` for evaluations.
        refused: Why the first trial is larger than it was to be; empty if it is not.
    """

    setting: Setting
    init_val: int
    max_val: int | None
    data_hold: int | None
    filling: Filling | None
    epoch: int | None = None
    training: TrainingPlan | None = None
    refused: str = ""


def plan_search(sandbox: Sandbox, setting: Setting, config: TunerConfig) -> SearchPlan:
    """Find out what the data hold, and prove that the setting changes the batches that arrive.

    Raises:
        ConfigError: If it does not, or the Trainer's limits leave no batch with any size, or the batches that trials
            are to run on cannot be made.
    """
    check_probe(config.batch_size_probe)
    method = config.batch_size_method

    def look(size: int) -> DryRun:
        return dry_run(sandbox, {setting: size}, method, validates=method == "fit")

    init_val = min(config.batch_size_init_val, config.batch_size_max or config.batch_size_init_val)
    size, first, refused = _first_that_works(look, _first_sizes(setting, init_val, config))
    first.check_batches()
    most = _most(sandbox.trainer, first, method)
    bound = min((bound for bound in (most, config.batch_size_max) if bound is not None), default=None)
    if bound is not None and size > bound:
        size, first, _ = _first_that_works(look, [bound])
    others = [2 * size, size // 2, 3 * size] if bound is None or 2 * size <= bound else [size // 2]
    filling = None
    if others[0]:
        other, second, _ = _first_that_works(look, (one for one in others if one))
        first, second = _proven(sandbox, setting, method, look, (size, other), (first, second))
        if most is None:
            most = _estimated(sandbox.trainer, (size, first), (other, second), method)
        most = _with_validation(sandbox.trainer, most, first, second)
        filling = _filling(look, (size, first), (other, second))
    max_val = min((bound for bound in (most, config.batch_size_max) if bound is not None), default=None)
    return SearchPlan(
        setting,
        init_val=size if max_val is None else min(size, max_val),
        max_val=max_val,
        data_hold=most,
        filling=filling,
        epoch=_epoch(first) if method == "fit" else None,
        training=_training(sandbox, setting, (size, first)) if method == "fit" else None,
        refused=refused,
    )


def _first_sizes(setting: Setting, init_val: int, config: TunerConfig) -> list[int]:
    """Sizes to begin with: as the user said, else one known to work, else larger ones."""
    present = setting.value if isinstance(setting.value, int) and setting.value >= 1 else None
    others = [init_val << i for i in range(1, CLIMB + 1)] if present is None else [present]
    return [init_val, *(size for size in others if size <= (config.batch_size_max or size) and size != init_val)]


def _first_that_works(look: Callable[[int], DryRun], sizes: Iterable[int]) -> tuple[int, DryRun, str]:
    """The first of the sizes with which everything can be set up, what is seen then, and why not the one before.

    Samplers may refuse sizes: those that are too small, or no multiple of something.

    Raises:
        Exception: The user's own, if there is none.
    """
    tried, failure, reason = [], None, ""
    for size in sizes:
        try:
            return size, look(size), reason
        except Exception as error:
            if not is_users_own(error) or is_out_of_memory(error):
                raise
            tried.append(size)
            failure = error
            reason = f"with batch size {size} no batch can be made ({type(error).__name__}: {first_line(error)})"
    assert failure is not None
    failure.add_note(f"lit-autotune: in a look at the first batch, with batch size {', '.join(map(str, tried))}")
    try:
        raise failure
    finally:
        del failure  # it has this frame, and they would keep each other alive


def _proven(
    sandbox: Sandbox,
    setting: Setting,
    method: Method,
    look: Callable[[int], DryRun],
    sizes: tuple[int, int],
    known: tuple[DryRun, DryRun],
) -> tuple[DryRun, DryRun]:
    batches, reader = ("training", "train_dataloader") if method == "fit" else (method, "the loader")
    return prove_effect(
        sandbox,
        setting,
        look,
        sizes,
        lambda one, other: (
            not are_the_same(one.supplies, other.supplies)
            or (one.batches, one.batch_size, one.shapes) != (other.batches, other.batch_size, other.shapes)
        ),
        lambda run: f"the {batches} batches (batch size stays {run.batch_size})",
        reader,
        known=known,
    )


def _limits(trainer: Any, method: Method) -> tuple[float, int]:
    """The share of an epoch's batches that a Trainer takes, and how many it has to have."""
    limit = getattr(trainer, METHODS[method].limit)
    share = limit if isinstance(limit, float) else 1.0
    interval = trainer.val_check_interval
    # Lightning refuses an interval longer than an epoch, whether or not there is anything to validate.
    counts = method == "fit" and isinstance(interval, int) and trainer.check_val_every_n_epoch is not None
    return share, interval if counts and trainer.limit_val_batches else 1


def _most(trainer: Any, first: DryRun, method: Method) -> int | None:
    most = largest_filled(first.supplies)
    return None if most is None else _limited(trainer, most, method)


def _limited(trainer: Any, most: int, method: Method) -> int:
    """The largest of the sizes up to one that the Trainer's limits allow.

    Raises:
        ConfigError: If there is none.
    """
    share, least = _limits(trainer, method)
    size = within_limits(most, share, least)
    if not size and most:
        limit = f"val_check_interval = {least}" if least > 1 else f"{METHODS[method].limit} = {share:g}"
        raise ConfigError(
            f"Trainer({limit}): an epoch of {most} samples has too few batches for that with any batch size"
        )
    return max(size, 1)


def _estimated(trainer: Any, one: tuple[int, DryRun], other: tuple[int, DryRun], method: Method) -> int | None:
    """The largest size that the data can fill, from how many batches of two sizes they give."""
    (size, first), (other_size, second) = one, other
    if len(first.supplies) != 1:
        return None
    (supply,), (other_supply,) = first.supplies, second.supplies
    samples = estimated_samples((size, supply.batches), (other_size, other_supply.batches), supply.drops)
    return None if samples is None else _limited(trainer, samples, method)


def _with_validation(trainer: Any, most: int | None, first: DryRun, second: DryRun) -> int | None:
    """A share of the validation's batches has to be one, and of what drops the last one there has to be another."""
    limit = trainer.limit_val_batches
    share = limit if isinstance(limit, float) else 1.0
    for one, other in zip(first.validation, second.validation, strict=True):
        if one.samples and one.stated != other.stated and (share < 1 or one.drops):
            bound = max(within_limits(one.samples, share), 1)
            most = bound if most is None else min(most, bound)
    return most


def _filling(look: Callable[[int], DryRun], one: tuple[int, DryRun], other: tuple[int, DryRun]) -> Filling | None:
    """How to see whether a batch is full, where the loader does not say what it can fill."""
    (size, first), (other_size, second) = one, other
    if len(first.supplies) != 1 or first.supplies[0].is_plain:
        return None
    supply = first.supplies[0]
    found = find_filling((size, first.shapes), (other_size, second.shapes), supply)
    if (found is None or not found.is_constant) and size > SMALL[0]:
        try:  # the batches seen may not have been full themselves
            shapes = [(small, look(small).shapes) for small in SMALL]
        except Exception as error:
            if not is_users_own(error):
                raise
            return found  # these sizes cannot be used
        return find_filling(shapes[0], shapes[1], supply) or found
    return found


def _epoch(first: DryRun) -> int | None:
    """The samples of an epoch whose last batch may have fewer than the others; ``None`` if it is none that is met."""
    if len(first.supplies) != 1 or first.batches < first.supplies[0].batches:
        return None
    supply = first.supplies[0]
    return supply.samples if supply.is_plain and not supply.drops else None


def _training(sandbox: Sandbox, setting: Setting, known: tuple[int, DryRun]) -> TrainingPlan:
    """The training with the present batch size, or a known one. Not run at the present one: it may be too large."""
    size, seen = known
    training = training_plan(sandbox.trainer, seen, size)
    return training if setting.size is None else training.resized(setting.size)
