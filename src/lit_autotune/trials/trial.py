"""A batch-size trial: some steps on copies, measured."""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from lit_autotune.config import Method
from lit_autotune.copies.attributes import Setting
from lit_autotune.copies.owners import Copies
from lit_autotune.copies.ranks import everywhere
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.stepper import BatchCounter, Stepper
from lit_autotune.errors import TooLittleDataError
from lit_autotune.internals.loops import allow_start
from lit_autotune.internals.methods import METHODS
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.memory.peak import measured
from lit_autotune.memory.release import release_memory
from lit_autotune.planning.supply import Filling
from lit_autotune.trials.batches import use_batches, use_smaller_batches
from lit_autotune.types import Measurement


class TrialSpec(NamedTuple):
    """What all trials of a search have in common.

    Attributes:
        setting: Where the batch size is kept.
        steps: Optimizer steps, or batches of an evaluation.
        method: The Trainer's method that has to fit in memory.
        batches: Which batches to run on, see ``TunerConfig.batch_size_probe``.
        filling: How to see whether a batch is full; ``None`` if that is not checked.
        samples: Samples of each training batch, where they are fewer than the batch size, as an epoch's last ones.
        validation: What is run of the validation: a batch, all that a fit would run, or nothing.
        ceiling: Peak in bytes beyond which there is no need to go on; ``None`` if there is none.
        spare: By rank, how many bytes it may take more than the one that may take least; empty if that is unknown.
    """

    setting: Setting
    steps: int
    method: Method
    batches: str = "first"
    filling: Filling | None = None
    samples: int | None = None
    validation: Literal["batch", "all", "none"] = "batch"
    ceiling: int | None = None
    spare: tuple[int, ...] = ()


def try_batch_size(sandbox: Sandbox, spec: TrialSpec, batch_size: int) -> Measurement:
    """Run one batch-size trial: some optimizer steps and a validation batch, or some batches of an evaluation.

    Args:
        sandbox: Where to run it.
        spec: What to run.
        batch_size: The size, in samples.

    Returns:
        What was measured; with several processes the most that any of them took, on the measure of the one that may
        take least.

    Raises:
        MemoryError: If it does not fit, on any rank.
        TooLittleDataError: If the data cannot fill one batch.
    """
    taken = everywhere(sandbox, functools.partial(_try_batch_size, sandbox, spec, batch_size))
    spare = spec.spare or (0,) * len(taken)
    peaks = [one.peak_bytes - more for one, more in zip(taken, spare, strict=True) if one.peak_bytes is not None]
    slowest = max(taken, key=lambda one: sum(one.step_seconds))
    return Measurement(max(peaks, default=None), slowest.step_seconds)


def _try_batch_size(sandbox: Sandbox, spec: TrialSpec, batch_size: int) -> Measurement:
    device = sandbox.trainer.strategy.root_device
    release_memory()  # of the trial before: copies are cycles of objects, and would be counted with this one
    copies = None
    run: BatchCounter | None = None
    failure = ""
    with measured(device) as peak:
        try:
            copies = sandbox.copies({spec.setting: batch_size})
            use_batches(sandbox, copies, spec.batches, batch_size, spec.method)
            if spec.samples is not None:
                use_smaller_batches(copies, spec.samples)
            if spec.method == "fit":
                limit_validation(copies.trainer, spec.validation)
                own = spec.spare[sandbox.trainer.global_rank] if spec.spare else 0
                ceiling = math.inf if spec.ceiling is None else spec.ceiling + own
                run = prepare_fit(copies, spec.steps, lambda: (peak() or 0) > ceiling)
            else:
                run = _prepare_evaluation(copies, spec.method, spec.steps)
            run.watch(spec.filling)
            sandbox.run(copies, spec.method)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failure = str(error) or type(error).__name__
        taken = Measurement(peak(), run.step_seconds if run else ())
    if failure or run is None:
        del copies, run
        release_memory()
        raise MemoryError(failure)
    if run.calls == 0:
        raise TooLittleDataError("the training data give no batch of this size")
    needed = spec.filling and spec.filling.needed(run.epoch, batch_size, run.epoch_ended)
    if needed is not None:
        raise TooLittleDataError(f"the training data fill only {max(run.epoch)} of {needed:g} samples")
    return taken


def limit_validation(trainer: Any, extent: Literal["batch", "all", "none"] = "batch") -> None:
    """Have a fit validate on a batch, if it validates at all; on all that it would; or not."""
    limits = {"batch": 1 if trainer.limit_val_batches else 0, "all": trainer.limit_val_batches, "none": 0}
    trainer.limit_val_batches = limits[extent]


def prepare_fit(
    copies: Copies, steps: int, is_over: Callable[[], bool] = lambda: False, stepper: type[Stepper] = Stepper
) -> Stepper:
    """Have a fit end after some optimizer steps and its validation, or once it is known not to fit."""
    trainer = copies.trainer
    # A second micro-batch meets the gradients of the first; more of them take no more memory.
    trainer.accumulate_grad_batches = min(trainer.accumulate_grad_batches, 2)
    trainer.check_val_every_n_epoch, trainer.val_check_interval = 1, 1.0
    allow_start(trainer)
    run = stepper(copies, on_step=lambda losses: run.done < steps and not is_over(), max_calls=10 * steps)
    return run


def _prepare_evaluation(copies: Copies, method: str, steps: int) -> BatchCounter:
    """Have an evaluation end after some batches."""
    table = METHODS[method]
    setattr(copies.trainer, table.limit, steps)
    run = BatchCounter(copies, table.step)
    for moment in ("epoch_start", "batch_end"):
        copies.wrap(f"on_{table.hooks}_{moment}", functools.partial(_stamped, run))
    return run


def _stamped(run: BatchCounter, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    original(*args, **kwargs)
    run.stamp()
