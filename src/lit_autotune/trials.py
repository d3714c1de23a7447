"""Fits on copies: a look at what arrives, a batch-size trial, the sweep of an LR range test."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lit_autotune.attributes import Setting
from lit_autotune.curves import DivergenceMonitor
from lit_autotune.distributed import mean, on_all_ranks
from lit_autotune.errors import TuningError
from lit_autotune.memory import is_out_of_memory, release_memory
from lit_autotune.sandbox import Copies, Sandbox
from lit_autotune.search import TooLittleDataError
from lit_autotune.stepping import BatchCounter, Stepper, allow_start, count_samples
from lit_autotune.types import LRCurve

Values = Mapping[Setting, Any]

STEP_HOOKS = {"fit": "training_step", "validate": "validation_step", "test": "test_step", "predict": "predict_step"}
"""The module's hook that gets the batches, by what is run."""


class _SeenEnoughError(Exception):
    """Ends a fit at its first training step."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a fit comes to, seen without computing a single step.

    Attributes:
        batch_size: Samples in the first training batch; ``None`` if it holds no tensor.
        batches: Training batches in an epoch; infinite if unknown.
        most: The largest batch size the data can fill; ``None`` if unknown.
        rates: For each parameter group the learning rate that its training is about.
        defaults: Each optimizer's own default rate, which no scheduler changes.
        schedulers: Class names of the learning-rate schedulers.
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
        rates.extend(_main_rate(group) for optimizer in made.trainer.optimizers for group in optimizer.param_groups)
        original()

    def stop(original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        seen.extend(args[:1] or kwargs.values())
        raise _SeenEnoughError

    made.wrap("on_train_start", note_rates)
    made.wrap(STEP_HOOKS[method], stop)
    if method == "fit":
        _without_extras(made)
    with contextlib.suppress(_SeenEnoughError):
        sandbox.run(made, method)
    optimizers = made.trainer.optimizers
    return Look(
        batch_size=count_samples(made, seen[0]) if seen else None,
        batches=_total_batches(made.trainer, method),
        most=_most_samples(made.trainer, method),
        rates=tuple(rates),
        defaults=tuple(float(optimizer.defaults.get("lr", math.nan)) for optimizer in optimizers),
        schedulers=tuple(type(config.scheduler).__name__ for config in made.trainer.lr_scheduler_configs),
    )


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


def _without_extras(made: Copies) -> None:
    """No validation, no sanity check, and no limit that would keep a fit from starting."""
    made.trainer.limit_val_batches = 0
    allow_start(made.trainer)


def try_batch_size(sandbox: Sandbox, values: Values, expected: int | None, steps: int, method: str) -> None:
    """Run one batch-size trial: some optimizer steps and a validation batch, or some batches of an evaluation.

    Args:
        sandbox: Where to run it.
        values: The batch size to try.
        expected: Samples that a full batch must have; ``None`` if batches hold no tensor.
        steps: Optimizer steps, or batches of an evaluation.
        method: The Trainer's method that has to fit in memory.

    Raises:
        MemoryError: If it does not fit, on any rank.
        TooLittleDataError: If the data cannot fill one batch.
    """
    on_all_ranks(sandbox.trainer, lambda: _try_batch_size(sandbox, values, expected, steps, method))


def _try_batch_size(sandbox: Sandbox, values: Values, expected: int | None, steps: int, method: str) -> None:
    made = sandbox.copies(values)
    run = _prepare_fit(made, steps) if method == "fit" else _prepare_evaluation(made, method, steps)
    failure = ""
    try:
        sandbox.run(made, method)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        failure = str(error) or type(error).__name__
    seen, calls = run.first_batch, run.calls
    if failure:
        del made, run
        release_memory()
        raise MemoryError(failure)
    if calls == 0:
        raise TooLittleDataError("the training data give no batch of this size")
    if expected is not None and seen is not None and seen < expected:
        raise TooLittleDataError(f"the training data fill only {seen} of {expected} samples")


def _prepare_fit(made: Copies, steps: int) -> Stepper:
    """Have a fit end after some optimizer steps and a validation batch."""
    trainer = made.trainer
    # A second micro-batch meets the gradients of the first; more of them take no more memory.
    trainer.accumulate_grad_batches = min(trainer.accumulate_grad_batches, 2)
    trainer.limit_val_batches = 1 if trainer.limit_val_batches else 0
    trainer.check_val_every_n_epoch, trainer.val_check_interval = 1, 1.0
    allow_start(trainer)
    run = Stepper(made, on_step=lambda losses: run.done < steps, max_calls=10 * steps)
    return run


def _prepare_evaluation(made: Copies, method: str, steps: int) -> BatchCounter:
    """Have an evaluation end after some batches."""
    limit = "limit_val_batches" if method == "validate" else f"limit_{method}_batches"
    setattr(made.trainer, limit, steps)
    return BatchCounter(made, STEP_HOOKS[method])


def sweep_learning_rate(
    sandbox: Sandbox,
    values: Values,
    rates: Sequence[float],
    scales: Sequence[float],
    on_point: Callable[[float, float], None] = lambda rate, loss: None,
    optimizer_index: int | None = None,
    monitor: str | None = None,
    threshold: float | None = 4.0,
) -> LRCurve:
    """Run an LR range test: one optimizer step at each rate, on copies.

    Data are cycled, nothing is validated, schedulers are off; accumulation, clipping and precision are the Trainer's.

    Args:
        sandbox: Where to run it.
        values: Settings to start from.
        rates: The ladder of rates.
        scales: What to multiply the rate by for each parameter group; keeps the ratios between them.
        on_point: Told of each rate and its loss.
        optimizer_index: The optimizer to sweep; all if not given.
        monitor: Name of a logged value to use as the loss.
        threshold: When to stop, see :class:`~lit_autotune.curves.DivergenceMonitor`.

    Returns:
        The curve, shorter than the ladder if the loss diverged.

    Raises:
        TuningError: If the module never steps the optimizer, or has no loss to show.
        ConfigError: If the monitored value is not logged.
    """
    made = sandbox.copies(values, alone=False)
    _without_extras(made)
    divergence = DivergenceMonitor(threshold)
    losses: list[float] = []
    diverged = False

    def record(micro_losses: list[float]) -> bool:
        nonlocal diverged
        loss = math.fsum(micro_losses) / len(micro_losses) if micro_losses else math.nan
        loss = mean(made.trainer, loss)  # the same on all ranks, so that all stop at the same step
        losses.append(loss)
        on_point(rates[len(losses) - 1], loss)
        diverged = divergence.update(loss)
        return not diverged and len(losses) < len(rates)

    calls = 10 * len(rates) * made.trainer.accumulate_grad_batches
    run = Stepper(
        made,
        on_step=record,
        rate_of=lambda step, group: rates[min(step, len(rates) - 1)] * (scales[group] if group < len(scales) else 1.0),
        max_calls=calls,
        optimizer_index=optimizer_index,
        monitor=monitor,
    )
    sandbox.run(made)
    if not losses:
        raise TuningError(f"the range test made no optimizer step in {run.calls} batches; does training_step do one?")
    if monitor is None and not run.returned_loss:
        logged = ", ".join(sorted(made.trainer.callback_metrics)) or "nothing"
        raise TuningError(f"training_step returns no loss; name a logged value with lr_monitor (it logs {logged})")
    return LRCurve(learning_rates=tuple(rates[: len(losses)]), losses=tuple(losses), diverged=diverged)
