"""Where a batch-size trial runs: in this process, in a fork of it, or in a new one that may be killed without harm."""

import math
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from lit_autotune._shared.text import first_line
from lit_autotune.config import Isolation
from lit_autotune.copies.guard import LeakError
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import TooLittleDataError, TuningError, is_users_own
from lit_autotune.internals.loops import is_of_validation
from lit_autotune.internals.tensors import parameter_bytes
from lit_autotune.memory.budget import Budget
from lit_autotune.memory.process import resident
from lit_autotune.memory.release import release_memory
from lit_autotune.trials.child import NEAR
from lit_autotune.trials.forked import Forker, UnfitForForksError, can_fork
from lit_autotune.trials.new_process import IsolationError, TrialProcess
from lit_autotune.trials.separate import use_originals
from lit_autotune.trials.trial import TrialSpec, try_batch_size
from lit_autotune.types import Measurement, samples_per_second

STATE_PER_PARAMETER = 8
"""Weight, gradient and Adam's two moments, twice over for what is temporary: a guess before the first trial."""


SPOILT = "could not create a primitive"
"""What oneDNN says when a convolution ran out of memory, and sometimes for good in that thread."""


COLLAPSE = 4
"""With memory that the GPU shares with the host, too large a batch is swapped, not refused: so many times slower."""


class Place(Enum):
    """Where a trial runs."""

    HERE = auto()
    FORK = auto()
    NEW_PROCESS = auto()


class TrialRunner:
    """Runs trials, each where it is safe.

    Args:
        sandbox: Makes the copies that trials run on.
        spec: What they have in common.
        budget: The memory budget, if there is one.
        isolation: ``"process"`` for all trials in a new process, ``"none"`` for none, ``"group"`` as the sandbox has
            it. ``"auto"`` for those that come near the limit in a fork of this process, where there can be one;
            elsewhere for those that might get it killed in a new one. With several processes, trials stay where they
            are.
        warn: Told if the user's objects cannot be sent to a new process, and of what else makes trials other ones.
        epoch: Samples of an epoch whose last batch may have fewer than the others.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        spec: TrialSpec,
        budget: Budget | None,
        isolation: Isolation,
        warn: Callable[[str], None],
        epoch: int | None = None,
    ):
        # The limit, not the usable part: a trial that was cut short has a peak too low for memory's line.
        ceiling, spare = (budget.limit, budget.spare) if budget else (None, ())
        self._sandbox, self._spec = sandbox, spec._replace(ceiling=ceiling, spare=spare)
        self._budget, self._warn = budget, warn
        places = {"auto": None, "none": Place.HERE}
        self._always = places.get(isolation, Place.NEW_PROCESS)
        if sandbox.trainer.world_size > 1 or sandbox.processes:
            self._always = Place.HERE
        elif sandbox.runs_originals:
            self._always = Place.FORK
        self._forker = Forker(budget)
        self._child = TrialProcess(sandbox, budget)
        is_simulated = budget is not None and budget.is_simulated
        self._forks = can_fork(sandbox.trainer.strategy.root_device) and not is_simulated
        limit = sandbox.trainer.limit_val_batches
        self._limits_validation = spec.method == "fit" and bool(limit) and not (isinstance(limit, int) and limit == 1)
        self._epoch = epoch if spec.batches == "first" else None
        self._least: float = math.inf
        self._start_size = resident()
        self._largest = 0
        self._taken = 0
        self._best_rate = 0.0

    def __enter__(self) -> "TrialRunner":
        return self

    def __exit__(self, *error: object) -> None:
        self._child.close()
        release_memory()

    def try_batch_size(self, batch_size: int) -> Measurement:
        """Run a trial; result and errors are those of :func:`lit_autotune.trials.trial.try_batch_size`.

        Where an epoch's last batch is smaller than any that is known to train, that is tried, too.
        """
        rest = self._epoch % batch_size if self._epoch else 0
        if 0 < rest < self._least:
            self._try_last_batch(batch_size, rest)
        measured = self._run_validated(batch_size)
        self._least = min(self._least, batch_size)
        return measured

    def _try_last_batch(self, batch_size: int, rest: int) -> None:
        try:
            # One step: more of them might come to the last batch of an epoch of such batches.
            self._run(batch_size, self._spec._replace(steps=1, samples=rest, validation="none"))
        except MemoryError:
            return  # so will the whole batch
        except Exception as error:
            error.add_note(f"lit-autotune: with {rest} samples, as in the last batch of an epoch of size {batch_size}")
            raise
        self._least = rest

    def _run_validated(self, batch_size: int) -> Measurement:
        """Run a trial; once more with all of the validation if that may be what a single batch of it lacks."""
        try:
            return self._run(batch_size, self._spec)
        except Exception as error:
            if not (self._limits_validation and is_users_own(error) and is_of_validation(error)):
                raise
        whole = self._spec._replace(validation="all")
        measured = self._run(batch_size, whole)
        self._spec, self._limits_validation = whole, False
        self._warn(
            "validation fails with a single batch: trials run all of its batches, as a fit does, and take longer"
        )
        return measured

    def _run(self, batch_size: int, spec: TrialSpec) -> Measurement:
        """Run a trial where that is safe."""
        run = {Place.HERE: self._run_here, Place.FORK: self._run_in_fork, Place.NEW_PROCESS: self._run_in_new_process}
        measured = None
        while measured is None:
            measured = run[self._place(spec.samples or batch_size)](spec, batch_size)
        if spec.samples is not None:
            return measured
        self._check_rate(batch_size, measured)
        if measured.peak_bytes is not None and batch_size > self._largest:
            self._largest, self._taken = batch_size, measured.peak_bytes - self._start_size
        return measured

    def _place(self, batch_size: int) -> Place:
        if self._always is not None:
            return self._always
        if not self._is_risky(batch_size):
            return Place.HERE
        return Place.FORK if self._forks else Place.NEW_PROCESS

    def _run_in_fork(self, spec: TrialSpec, batch_size: int) -> Measurement | None:
        try:
            return self._forker.run(lambda: try_batch_size(self._sandbox, spec, batch_size))
        except (MemoryError, TooLittleDataError, TuningError):
            raise
        except LeakError as leak:
            self._use_originals(leak)
            return None
        except UnfitForForksError as error:
            if self._sandbox.runs_originals:
                raise TuningError(f"trials need a copy of this process, but a copy {error}") from None
            self._always = Place.NEW_PROCESS
            self._warn(
                f"a copy of this process {error}, as with libraries that do not work after a fork (polars and numba "
                "are such): trials run in a new process now, as with trial_isolation = 'process'"
            )
            return None
        except Exception:  # the user's, or of something that a fork breaks; only here does it keep its traceback
            if self._sandbox.runs_originals:
                raise
            measured = self._run_here(spec, batch_size)
            self._forks = False
            return measured

    def _run_in_new_process(self, spec: TrialSpec, batch_size: int) -> Measurement | None:
        try:
            return self._child.try_batch_size(spec, batch_size)
        except IsolationError as error:
            self._always = Place.HERE
            self._warn(
                f"trials run in this process, for the objects cannot be sent to another one ({error}); classes "
                "of a script or notebook can, once cloudpickle is installed"
            )
            return None

    def _run_here(self, spec: TrialSpec, batch_size: int) -> Measurement | None:
        try:
            return try_batch_size(self._sandbox, spec, batch_size)
        except LeakError as leak:
            self._use_originals(leak)
            return None
        except MemoryError as error:
            if self._always is not None or SPOILT not in str(error):
                raise
            self._always = Place.NEW_PROCESS
            self._warn(
                f"oneDNN ran out of memory ({first_line(error)}), and may refuse convolutions and layers of new sizes "
                "in this process from now on: train in a new one, or tune with trial_isolation = 'process'"
            )
            return None  # what a spoilt thread says of a size is worth nothing

    def _use_originals(self, leak: LeakError) -> None:
        use_originals(self._sandbox, leak)
        self._always = Place.FORK

    def _check_rate(self, batch_size: int, measured: Measurement) -> None:
        """Where memory is shared with the host, a collapse of throughput means that there is not enough of it."""
        rate = samples_per_second(batch_size, measured.step_seconds)
        if rate is None or not swaps(self._sandbox.trainer.strategy.root_device):
            return
        if rate < self._best_rate / COLLAPSE:
            raise MemoryError(f"throughput fell from {self._best_rate:.0f} to {rate:.0f} samples/s: memory is swapped")
        self._best_rate = max(self._best_rate, rate)

    def _is_risky(self, batch_size: int) -> bool:
        """Whether a trial might come near the limit; where there are no forks, near that at which the system kills.

        Beyond the knee of the curve memory grows at most in proportion to the batch size.
        """
        limit = self._budget and (self._budget.limit if self._forks else self._budget.deadly)
        if not limit:
            return False
        parameters = self._sandbox.originals["module"].parameters()
        taken = self._taken or STATE_PER_PARAMETER * parameter_bytes(parameters)
        growth = max(1.0, batch_size / self._largest) if self._largest else 1.0
        return self._start_size + taken * growth > NEAR * limit


def swaps(device: Any) -> bool:
    """Whether a device shares its memory with the host, so that it slows down instead of running out."""
    return bool(device.type == "mps")
