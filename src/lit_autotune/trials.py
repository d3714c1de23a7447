"""A batch-size trial: some steps on copies, measured."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from lit_autotune.distributed import on_all_ranks
from lit_autotune.looks import STEP_HOOKS, Values
from lit_autotune.memory import is_out_of_memory, release_memory
from lit_autotune.peaks import measured
from lit_autotune.sandbox import Copies, Sandbox
from lit_autotune.search import TooLittleDataError
from lit_autotune.stepping import BatchCounter, Stepper, allow_start
from lit_autotune.types import Measurement, Method
from lit_autotune.worst_case import use_batches

EVALUATION_HOOKS = {"validate": "validation", "test": "test", "predict": "predict"}
"""What the names of the module's hooks begin with, after ``on_``, by what is run."""


class TrialSpec(NamedTuple):
    """What a batch-size trial runs.

    Attributes:
        batch_size: The size, in samples.
        expected: Samples that a full batch must have; ``None`` if batches hold no tensor.
        steps: Optimizer steps, or batches of an evaluation.
        method: The Trainer's method that has to fit in memory.
        probe: What batches to run on, see ``TunerConfig.batch_size_probe``.
    """

    batch_size: int
    expected: int | None
    steps: int
    method: Method
    probe: str = "first"


def try_batch_size(sandbox: Sandbox, values: Values, spec: TrialSpec, ceiling: int | None = None) -> Measurement:
    """Run one batch-size trial: some optimizer steps and a validation batch, or some batches of an evaluation.

    Args:
        sandbox: Where to run it.
        values: The batch size, where it is kept.
        spec: What to run.
        ceiling: Peak in bytes beyond which there is no need to go on.

    Returns:
        What was measured; with several processes the most that any of them took.

    Raises:
        MemoryError: If it does not fit, on any rank.
        TooLittleDataError: If the data cannot fill one batch.
    """
    taken = on_all_ranks(sandbox.trainer, lambda: _try_batch_size(sandbox, values, spec, ceiling))
    peaks = [one.peak_bytes for one in taken if one.peak_bytes is not None]
    slowest = max(taken, key=lambda one: sum(one.step_seconds))
    return Measurement(max(peaks, default=None), slowest.step_seconds)


def _try_batch_size(sandbox: Sandbox, values: Values, spec: TrialSpec, ceiling: int | None) -> Measurement:
    batch_size, expected, steps, method, probe = spec
    device = sandbox.trainer.strategy.root_device
    release_memory()  # of the trial before: copies are cycles of objects, and would be counted with this one
    made = run = None
    failure = ""
    with measured(device) as peak:
        try:
            made = sandbox.copies(values)
            use_batches(sandbox, made, probe, batch_size, method)
            run = (
                prepare_fit(made, steps, lambda: ceiling is not None and (peak() or 0) > ceiling)
                if method == "fit"
                else _prepare_evaluation(made, method, steps)
            )
            sandbox.run(made, method)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failure = str(error) or type(error).__name__
        taken = Measurement(peak(), run.step_seconds if run else ())
    if failure or run is None:
        del made, run
        release_memory()
        raise MemoryError(failure)
    seen, calls = run.first_batch, run.calls
    if calls == 0:
        raise TooLittleDataError("the training data give no batch of this size")
    if expected is not None and seen is not None and seen < expected:
        raise TooLittleDataError(f"the training data fill only {seen} of {expected} samples")
    return taken


def prepare_fit(
    made: Copies, steps: int, is_over: Callable[[], bool] = lambda: False, stepper: type[Stepper] = Stepper
) -> Stepper:
    """Have a fit end after some optimizer steps and a validation batch, or once it is known not to fit."""
    trainer = made.trainer
    # A second micro-batch meets the gradients of the first; more of them take no more memory.
    trainer.accumulate_grad_batches = min(trainer.accumulate_grad_batches, 2)
    trainer.limit_val_batches = 1 if trainer.limit_val_batches else 0
    trainer.check_val_every_n_epoch, trainer.val_check_interval = 1, 1.0
    allow_start(trainer)
    run = stepper(made, on_step=lambda losses: run.done < steps and not is_over(), max_calls=10 * steps)
    return run


def _prepare_evaluation(made: Copies, method: str, steps: int) -> BatchCounter:
    """Have an evaluation end after some batches."""
    limit = "limit_val_batches" if method == "validate" else f"limit_{method}_batches"
    setattr(made.trainer, limit, steps)
    run = BatchCounter(made, STEP_HOOKS[method])
    for moment in ("epoch_start", "batch_end"):
        made.wrap(f"on_{EVALUATION_HOOKS[method]}_{moment}", functools.partial(_stamped, run))
    return run


def _stamped(run: BatchCounter, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    original(*args, **kwargs)
    run.stamp()
