"""Where a batch-size trial runs: in this process, in a copy of it, or in a new one that may be killed without harm."""

from collections.abc import Callable
from typing import Any, Literal

from lit_autotune._text import first_line
from lit_autotune.budget import Budget, find_budget, read_status
from lit_autotune.distributed import on_all_ranks
from lit_autotune.errors import TuningError
from lit_autotune.forking import Forker, UnfitForCopiesError, can_fork
from lit_autotune.isolation import IsolationError, TrialProcess
from lit_autotune.looks import Values
from lit_autotune.memory import parameter_bytes, release_memory
from lit_autotune.peaks import held
from lit_autotune.sandbox import Sandbox
from lit_autotune.search import TooLittleDataError
from lit_autotune.trials import TrialSpec, try_batch_size
from lit_autotune.types import Measurement, samples_per_second
from lit_autotune.watching import NEAR

STATE_PER_PARAMETER = 8
"""Weight, gradient and Adam's two moments, twice over for what is temporary: a guess before the first trial."""


def agreed_budget(sandbox: Sandbox, setting: str, margin: float) -> Budget | None:
    """The budget of this process, or the smallest of all processes."""
    device = sandbox.trainer.strategy.root_device
    budgets = on_all_ranks(sandbox.trainer, lambda: find_budget(device, setting, margin))
    return min((budget for budget in budgets if budget), key=lambda budget: budget.usable, default=None)


def agreed_base(sandbox: Sandbox) -> int:
    """What this process holds before the search, in bytes, or that of all processes which holds least."""
    device = sandbox.trainer.strategy.root_device
    release_memory()
    return min(on_all_ranks(sandbox.trainer, lambda: held(device)))


SPOILT = "could not create a primitive"
"""What oneDNN says when a convolution ran out of memory, and sometimes for good in that thread."""


COLLAPSE = 4
"""With memory that the GPU shares with the host, too large a batch is swapped, not refused: so many times slower."""


class Prober:
    """Runs trials, each where it is safe.

    Args:
        sandbox: Makes the copies that trials run on.
        budget: The memory budget, if there is one.
        isolation: ``"process"`` for all trials in a new process, ``"none"`` for none. ``"auto"`` for those that
            come near the limit in a copy of this process, where one can be made; elsewhere for those that might get
            it killed in a new one. With several processes, trials stay where they are.
        warn: Told if the user's objects cannot be sent to a new process.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        budget: Budget | None,
        isolation: Literal["auto", "process", "none"],
        warn: Callable[[str], None],
    ):
        self._sandbox, self._budget, self._warn = sandbox, budget, warn
        self._isolation = "none" if sandbox.trainer.world_size > 1 else isolation
        # Not the usable part: a trial that was cut short has a peak too low for memory's line.
        self._ceiling = budget.limit if budget else None
        self._forker = Forker(budget)
        self._child = TrialProcess(sandbox, budget)
        is_simulated = budget is not None and budget.is_simulated
        self._forks = can_fork(sandbox.trainer.strategy.root_device) and not is_simulated
        self._start_size = read_status().get("VmRSS", 0)
        self._largest = 0
        self._taken = 0
        self._best_rate = 0.0

    def __enter__(self) -> "Prober":
        return self

    def __exit__(self, *error: object) -> None:
        self._child.close()
        release_memory()

    def try_batch_size(self, values: Values, spec: TrialSpec) -> Measurement:
        """Run a trial; arguments, result and errors are those of :func:`lit_autotune.trials.try_batch_size`."""
        measured = None
        while measured is None:
            measured = self._try_where_safe(values, spec)
        self._check_rate(spec.batch_size, measured)
        if measured.peak_bytes is not None and spec.batch_size > self._largest:
            self._largest, self._taken = spec.batch_size, measured.peak_bytes - self._start_size
        return measured

    def _try_where_safe(self, values: Values, spec: TrialSpec) -> Measurement | None:
        """Run a trial; ``None`` if it came to nothing, and that place is not taken again."""
        is_risky = self._isolation == "auto" and self._is_risky(spec.batch_size)
        if is_risky and self._forks:
            return self._try_in_copy(values, spec)
        if is_risky or self._isolation == "process":
            return self._try_in_new_process(values, spec)
        return self._try_here(values, spec)

    def _try_in_copy(self, values: Values, spec: TrialSpec) -> Measurement | None:
        try:
            return self._forker.run(lambda: try_batch_size(self._sandbox, values, spec, self._ceiling))
        except (MemoryError, TooLittleDataError, TuningError):
            raise
        except UnfitForCopiesError as error:
            self._isolation = "process"
            self._warn(
                f"a copy of this process {error}, as with libraries that do not work after a fork (polars and numba "
                "are such): trials run in a new process now, as with trial_isolation = 'process'"
            )
            return None
        except Exception:  # the user's, or of something that a fork breaks; only here does it keep its traceback
            self._forks = False
            return self._try_here(values, spec)

    def _try_in_new_process(self, values: Values, spec: TrialSpec) -> Measurement | None:
        try:
            return self._child.try_batch_size(values, spec)
        except IsolationError as error:
            self._isolation = "none"
            self._warn(
                f"trials run in this process, for the objects cannot be sent to another one ({error}); classes "
                "of a script or notebook can, once cloudpickle is installed"
            )
            return None

    def _try_here(self, values: Values, spec: TrialSpec) -> Measurement | None:
        try:
            return try_batch_size(self._sandbox, values, spec, self._ceiling)
        except MemoryError as error:
            if self._isolation != "auto" or SPOILT not in str(error):
                raise
            self._isolation = "process"
            self._warn(
                f"oneDNN ran out of memory ({first_line(error)}), and may refuse convolutions and layers of new sizes "
                "in this process from now on: train in a new one, or tune with trial_isolation = 'process'"
            )
            return None  # what a spoilt thread says of a size is worth nothing

    def _check_rate(self, batch_size: int, measured: Measurement) -> None:
        """Take a collapse of throughput for what it is where memory is shared: not enough of it."""
        rate = samples_per_second(batch_size, measured.step_seconds)
        if rate is None or not swaps(self._sandbox.trainer.strategy.root_device):
            return
        if rate < self._best_rate / COLLAPSE:
            raise MemoryError(f"throughput fell from {self._best_rate:.0f} to {rate:.0f} samples/s: memory is swapped")
        self._best_rate = max(self._best_rate, rate)

    def _is_risky(self, batch_size: int) -> bool:
        """Whether a trial might come near the limit; where copies cost more, near that at which the system kills.

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
