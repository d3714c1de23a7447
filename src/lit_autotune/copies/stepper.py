"""Following a fit on copies step by step, and ending it.

Without a Lightning callback: the copy's ``training_step`` is wrapped, its ``on_train_start`` lifts the Trainer's
limits, and the copied optimizers' ``step``, of whatever class they are, is wrapped to set the rate and count the steps.
"""

import functools
import math
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from lit_autotune._shared.text import did_you_mean
from lit_autotune.copies.dry_run import plan_of
from lit_autotune.copies.owners import Copies
from lit_autotune.copies.rates import is_torchs, set_group_rate, wrap_step
from lit_autotune.copies.supplies import shapes_of
from lit_autotune.curves.schedules import ShortenedSchedule
from lit_autotune.errors import ConfigError
from lit_autotune.internals.loops import count_samples, run_until_stopped
from lit_autotune.planning.supply import Filling

WHOLE = 0.5
"""A batch with fewer samples than this share of the largest, such as an epoch's last one, says nothing of a rate."""

MAX_EMPTY_EPOCHS = 3
"""A fit that begins this many epochs without a training step would go on for ever."""


class BatchCounter:
    """Counts the batches that a hook of the copied module gets, and looks at the first.

    Attributes:
        calls: Batches so far.
        first_batch: Samples in the first; ``None`` if it holds no tensor.
        epoch: What the batches of the first epoch have, each at a place that tells whether it is full.
        epoch_ended: Whether these are all of the first epoch.
    """

    def __init__(self, copies: Copies, hook: str):
        self.copies = copies
        self.calls = 0
        self.first_batch: int | None = None
        self.epoch: list[int] = []
        self.epoch_ended = False
        self._filling: Filling | None = None
        self._samples = self._largest = 0
        self._is_whole = True
        self._stamps: list[tuple[float, int]] = []
        copies.wrap(hook, self._step)

    @property
    def step_seconds(self) -> tuple[float, ...]:
        """Wall time of each step per full batch, in seconds, loading of its batches included."""
        full = self.first_batch or 1
        return tuple(
            (end - start) * full / (samples - before)
            for (start, before), (end, samples) in pairwise(self._stamps)
            if samples > before
        )

    def watch(self, filling: Filling | None) -> None:
        """Note from now on what tells whether batches are full."""
        self._filling = filling

    def stamp(self) -> None:
        """Note that a step begins or has ended."""
        import torch

        device = self.copies.trainer.strategy.root_device
        if device.type in ("cuda", "xpu", "mps"):
            getattr(torch, device.type).synchronize()
        self._stamps.append((time.perf_counter(), self._samples))

    def _step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.copies.on_batch()
        batch = next(iter(args or kwargs.values()))
        samples = count_samples(self.copies.trainer, batch)
        if self._filling and not self.epoch_ended and (count := shapes_of(batch).get(self._filling.place)) is not None:
            self.epoch.append(count)
        if self.calls == 0:
            self.first_batch = samples
        self.calls += 1
        self._samples += samples or 1
        self._largest = max(self._largest, samples or 0)
        self._is_whole = samples is None or samples >= WHOLE * self._largest
        return original(*args, **kwargs)


class Stepper(BatchCounter):
    """Follows a fit on copies step by step, and ends it.

    Args:
        copies: The copies to be fitted.
        on_step: Told the losses of each optimizer step, but of batches that are much smaller than the others; says
            whether to go on.
        max_calls: At most this many batches, should the optimizer never step.
        rate_of: Gives a parameter group's rate before each step.
        optimizer_index: Only the steps of this optimizer count.
        monitor: Name of a logged value to use as the loss.
        schedule_steps: Steps in which the learning-rate schedulers go through the whole of their schedule; by default
            they stand still.

    Attributes:
        done: Optimizer steps so far.
        returned_loss: Whether ``training_step`` ever returned a loss.
    """

    def __init__(
        self,
        copies: Copies,
        on_step: Callable[[list[float]], bool],
        max_calls: int,
        rate_of: Callable[[int, int], float] | None = None,
        optimizer_index: int | None = None,
        monitor: str | None = None,
        schedule_steps: int | None = None,
    ):
        super().__init__(copies, "training_step")
        copies.wrap("on_train_start", self._on_train_start)
        copies.wrap("on_train_epoch_start", self._on_epoch_start)
        self._on_step, self._max_calls, self._rate_of = on_step, max_calls, rate_of
        self._optimizer_index, self._monitor, self._schedule_steps = optimizer_index, monitor, schedule_steps
        self._schedule: ShortenedSchedule | None = None
        self.done = 0
        self.returned_loss = False
        self._empty_epochs = 0
        self._losses: list[float] = []
        self._in_step = False
        self._losses_in_step = 0

    def _stop(self) -> None:
        self.copies.trainer.should_stop = True

    def _on_train_start(self, original: Callable[[], Any]) -> None:
        if self._schedule_steps:
            # The copy's own plan, for that is what the module has built its schedule for.
            plan = plan_of(self.copies.trainer)
            self._schedule = ShortenedSchedule(self._schedule_steps, plan.steps or self._schedule_steps, plan.epochs)
        # Only now: until here user code that builds schedulers must see the Trainer's real limits.
        run_until_stopped(self.copies.trainer)
        for config in self.copies.trainer.lr_scheduler_configs:
            if not is_torchs(config.scheduler):
                continue  # only the module knows how to step it, and rates are set before each step anyway
            if self._schedule:
                self._schedule.add(config, self.copies.trainer.accumulate_grad_batches)
            config.scheduler.step = lambda *args, **kwargs: None
            config.reduce_on_plateau = False
        optimizers = self.copies.trainer.optimizers
        first = self._optimizer_index or 0
        chosen = range(len(optimizers)) if self._optimizer_index is None else (first,)
        for index in chosen:
            before = functools.partial(self._before_step, index)
            wrap_step(optimizers[index], before, self._after_step if index == first else lambda: None)
        original()
        self.stamp()

    def _on_epoch_start(self, original: Callable[[], Any]) -> None:
        self._empty_epochs += 1
        self.epoch_ended = self.calls > 0
        if self._empty_epochs > MAX_EMPTY_EPOCHS:
            self._stop()
        original()

    def _step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = super()._step(original, *args, **kwargs)
        self._empty_epochs = 0
        if self.calls >= self._max_calls:
            self._stop()
        # A closure that is evaluated several times in one step (LBFGS) counts once.
        self._losses_in_step += self._in_step
        if self._losses_in_step <= 1 and self._is_whole:
            self._losses.append(self._loss(output))
        return output

    def _loss(self, output: Any) -> float:
        """The loss of a step: the monitored value, or what ``training_step`` returned; NaN if there is none."""
        if self._monitor is not None:
            logged = self.copies.trainer.callback_metrics
            if self._monitor not in logged:
                known = ", ".join(sorted(logged)) or "nothing"
                raise ConfigError(
                    f"lr_monitor = {self._monitor!r}: training_step does not log it; "
                    f"logged are {known}{did_you_mean(self._monitor, logged)}"
                )
            return float(logged[self._monitor])
        loss = output.get("loss") if isinstance(output, Mapping) else output
        if loss is None:
            return math.nan
        self.returned_loss = True
        return float(loss.detach()) if hasattr(loss, "detach") else float(loss)

    def _before_step(self, index: int) -> None:
        if self.done == 0:
            self.copies.check_original()
        if self._rate_of is not None:
            optimizers = self.copies.trainer.optimizers
            first = sum(len(other.param_groups) for other in optimizers[:index])
            for offset in range(len(optimizers[index].param_groups)):
                set_group_rate(optimizers[index], offset, self._rate_of(self.done, first + offset))
        self._in_step, self._losses_in_step = True, 0

    def _after_step(self) -> None:
        self.done += 1
        self.stamp()
        self._in_step, self._losses_in_step = False, 0
        if self._schedule:
            self._schedule.advance(self.done)
        if not self._on_step(self._losses):
            self._stop()
        self._losses = []
