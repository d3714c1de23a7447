"""Fits on copies: a look at what arrives, a batch-size trial, the sweep of an LR range test.

A fit is steered without a Lightning callback: the copy's ``training_step`` is wrapped, its ``on_train_start`` sets
the limits, and hooks on the PyTorch optimizers set the rate and count the steps.
"""

import contextlib
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lit_autotune._text import did_you_mean
from lit_autotune.attributes import Setting
from lit_autotune.curves import DivergenceMonitor
from lit_autotune.errors import ConfigError, TuningError
from lit_autotune.memory import is_out_of_memory, release_memory
from lit_autotune.sandbox import Copies, Sandbox, trainer_package
from lit_autotune.search import TooLittleDataError
from lit_autotune.types import LRCurve

MAX_EMPTY_EPOCHS = 3
"""A fit that begins this many epochs without a training step would go on for ever."""

Values = Mapping[Setting, Any]


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


def look(sandbox: Sandbox, values: Values) -> Look:
    """Set everything up on copies, up to the first training batch."""
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
    made.wrap("training_step", stop)
    _without_extras(made)
    with contextlib.suppress(_SeenEnoughError):
        sandbox.fit(made)
    optimizers = made.trainer.optimizers
    return Look(
        batch_size=_batch_size(made, seen[0]) if seen else None,
        batches=made.trainer.num_training_batches,
        most=_most_samples(made.trainer),
        rates=tuple(rates),
        defaults=tuple(float(optimizer.defaults.get("lr", math.nan)) for optimizer in optimizers),
        schedulers=tuple(type(config.scheduler).__name__ for config in made.trainer.lr_scheduler_configs),
    )


def _main_rate(group: Mapping[str, Any]) -> float:
    """The rate that a group's schedule is built around: a peak, else the rate before any warm-up, else its rate."""
    return float(group.get("max_lr", group.get("initial_lr", group["lr"])))


def _batch_size(made: Copies, batch: Any) -> int | None:
    """Samples in a batch, as Lightning itself counts them."""
    data = importlib.import_module(f"{trainer_package(made.trainer)}.utilities.data")
    try:
        return int(data.extract_batch_size(batch))
    except Exception:  # Lightning's own exception type differs between its two packages
        return None


def _most_samples(trainer: Any) -> int | None:
    """The largest batch size that still gives an epoch with a batch in it, under the Trainer's own limits."""
    combined = trainer.fit_loop._combined_loader
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
    if isinstance(trainer.limit_train_batches, float) and trainer.limit_train_batches < 1:
        most = int(most * trainer.limit_train_batches)
    if isinstance(trainer.val_check_interval, int) and trainer.check_val_every_n_epoch and trainer.enable_validation:
        most //= trainer.val_check_interval  # Lightning refuses an interval longer than an epoch
    return max(most, 1)


def _without_extras(made: Copies) -> None:
    """No validation, no sanity check, and no limit that would keep a fit from starting."""
    trainer = made.trainer
    trainer.num_sanity_val_steps = 0
    trainer.limit_val_batches = 0
    _allow_start(trainer)


def _allow_start(trainer: Any) -> None:
    loop = trainer.fit_loop
    if loop.max_epochs == 0:
        loop.max_epochs = 1
    if loop.epoch_loop.max_steps == 0:
        loop.epoch_loop.max_steps = -1
    loop.min_epochs = loop.epoch_loop.min_steps = None


@dataclass
class _Steps:
    """Follows a fit on copies step by step, and ends it.

    ``on_step`` is told the losses of each optimizer step and says whether to go on; ``rate_of`` gives a parameter
    group's rate before each step. With ``optimizer_index`` only the steps of that optimizer count.
    """

    made: Copies
    on_step: Callable[[list[float]], bool]
    max_calls: int
    rate_of: Callable[[int, int], float] | None = None
    optimizer_index: int | None = None
    monitor: str | None = None
    first_batch: Any = None
    done: int = 0
    calls: int = 0
    empty_epochs: int = 0
    returned_loss: bool = False
    _losses: list[float] = field(default_factory=list)
    _in_step: bool = False
    _losses_in_step: int = 0

    def __post_init__(self) -> None:
        self.made.wrap("training_step", self._training_step)
        self.made.wrap("on_train_start", self._on_train_start)
        self.made.wrap("on_train_epoch_start", self._on_epoch_start)

    def _stop(self) -> None:
        self.made.trainer.should_stop = True

    def _on_train_start(self, original: Callable[[], Any]) -> None:
        # Only now: until here user code that builds schedulers must see the Trainer's real limits.
        loop = self.made.trainer.fit_loop
        loop.max_epochs, loop.epoch_loop.max_steps = -1, -1
        loop.min_epochs = loop.epoch_loop.min_steps = None
        for config in self.made.trainer.lr_scheduler_configs:
            config.scheduler.step = lambda *args, **kwargs: None
            config.reduce_on_plateau = False
        optimizers = self.made.trainer.optimizers
        chosen = optimizers if self.optimizer_index is None else [optimizers[self.optimizer_index]]
        for optimizer in chosen:
            optimizer.register_step_pre_hook(self._before_step)
        chosen[0].register_step_post_hook(self._after_step)
        original()

    def _on_epoch_start(self, original: Callable[[], Any]) -> None:
        self.empty_epochs += 1
        if self.empty_epochs > MAX_EMPTY_EPOCHS:
            self._stop()
        original()

    def _training_step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.first_batch is None:
            self.first_batch = _batch_size(self.made, next(iter(args or kwargs.values())))
        self.empty_epochs = 0
        self.calls += 1
        if self.calls >= self.max_calls:
            self._stop()
        output = original(*args, **kwargs)
        # A closure that is evaluated several times in one step (LBFGS) counts once.
        self._losses_in_step += self._in_step
        if self._losses_in_step <= 1:
            self._losses.append(self._loss(output))
        return output

    def _loss(self, output: Any) -> float:
        """The loss of a step: the monitored value, or what ``training_step`` returned; NaN if there is none."""
        if self.monitor is not None:
            logged = self.made.trainer.callback_metrics
            if self.monitor not in logged:
                known = ", ".join(sorted(logged)) or "nothing"
                raise ConfigError(
                    f"lr_monitor = {self.monitor!r}: training_step does not log it; "
                    f"logged are {known}{did_you_mean(self.monitor, logged)}"
                )
            return float(logged[self.monitor])
        loss = output.get("loss") if isinstance(output, Mapping) else output
        if loss is None:
            return math.nan
        self.returned_loss = True
        return float(loss.detach()) if hasattr(loss, "detach") else float(loss)

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        index = self.made.trainer.optimizers.index(optimizer)
        if self.rate_of is not None:
            first = sum(len(other.param_groups) for other in self.made.trainer.optimizers[:index])
            for offset, group in enumerate(optimizer.param_groups):
                group["lr"] = self.rate_of(self.done, first + offset)
        self._in_step, self._losses_in_step = True, 0

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.done += 1
        self._in_step, self._losses_in_step = False, 0
        if not self.on_step(self._losses):
            self._stop()
        self._losses = []


def try_batch_size(sandbox: Sandbox, values: Values, expected: int | None, steps: int) -> None:
    """Run one batch-size trial: some optimizer steps, then a validation batch if there is validation.

    Args:
        sandbox: Where to run it.
        values: The batch size to try.
        expected: Samples that a full batch must have; ``None`` if batches hold no tensor.
        steps: Optimizer steps.

    Raises:
        MemoryError: If it does not fit.
        TooLittleDataError: If the data cannot fill one batch.
    """
    made = sandbox.copies(values)
    trainer = made.trainer
    # A second micro-batch meets the gradients of the first; more of them take no more memory.
    trainer.accumulate_grad_batches = min(trainer.accumulate_grad_batches, 2)
    trainer.num_sanity_val_steps = 0
    trainer.limit_val_batches = 1 if trainer.limit_val_batches else 0
    trainer.check_val_every_n_epoch, trainer.val_check_interval = 1, 1.0
    _allow_start(trainer)
    run = _Steps(made, on_step=lambda losses: run.done < steps, max_calls=10 * steps)
    failure = ""
    try:
        sandbox.fit(made)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        failure = str(error) or type(error).__name__
    seen, calls = run.first_batch, run.calls
    if failure:
        del made, trainer, run
        release_memory()
        raise MemoryError(failure)
    if calls == 0:
        raise TooLittleDataError("the training data give no batch of this size")
    if expected is not None and seen is not None and seen < expected:
        raise TooLittleDataError(f"the training data fill only {seen} of {expected} samples")


def sweep_learning_rate(
    sandbox: Sandbox,
    values: Values,
    rates: Sequence[float],
    scales: Sequence[float],
    on_point: Callable[[float, float], None] = lambda rate, loss: None,
    optimizer_index: int | None = None,
    monitor: str | None = None,
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

    Returns:
        The curve, shorter than the ladder if the loss diverged.

    Raises:
        TuningError: If the module never steps the optimizer, or has no loss to show.
        ConfigError: If the monitored value is not logged.
    """
    made = sandbox.copies(values)
    _without_extras(made)
    divergence = DivergenceMonitor()
    losses: list[float] = []
    diverged = False

    def record(micro_losses: list[float]) -> bool:
        nonlocal diverged
        loss = math.fsum(micro_losses) / len(micro_losses) if micro_losses else math.nan
        losses.append(loss)
        on_point(rates[len(losses) - 1], loss)
        diverged = divergence.update(loss)
        return not diverged and len(losses) < len(rates)

    calls = 10 * len(rates) * made.trainer.accumulate_grad_batches
    run = _Steps(
        made,
        on_step=record,
        rate_of=lambda step, group: rates[min(step, len(rates) - 1)] * (scales[group] if group < len(scales) else 1.0),
        max_calls=calls,
        optimizer_index=optimizer_index,
        monitor=monitor,
    )
    sandbox.fit(made)
    if not losses:
        raise TuningError(f"the range test made no optimizer step in {run.calls} batches; does training_step do one?")
    if monitor is None and not run.returned_loss:
        logged = ", ".join(sorted(made.trainer.callback_metrics)) or "nothing"
        raise TuningError(f"training_step returns no loss; name a logged value with lr_monitor (it logs {logged})")
    return LRCurve(learning_rates=tuple(rates[: len(losses)]), losses=tuple(losses), diverged=diverged)
