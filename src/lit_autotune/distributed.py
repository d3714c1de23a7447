"""Tuning in several processes: start them, run trials in each alone, agree on the outcome.

An out-of-memory error on one rank inside a collective would leave the others waiting for ever. So a trial runs on
each rank alone, on its own device and its own share of the data, and the ranks compare their outcomes afterwards.
"""

import contextlib
import functools
import importlib
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from lit_autotune._text import first_line
from lit_autotune.errors import ConfigError, TuningError
from lit_autotune.memory import parameter_bytes
from lit_autotune.packages import trainer_package
from lit_autotune.process_state import unchanged_process
from lit_autotune.search import TooLittleDataError

T = TypeVar("T")

SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy")

OUTCOMES = (TooLittleDataError, MemoryError, Exception)
"""How a trial can fail, what weighs more last."""


def check_strategy(trainer: Any) -> None:
    """Refuse strategies whose memory a trial on one rank says nothing about.

    Raises:
        ConfigError: If the Trainer's strategy is one of them.
    """
    names = [cls.__name__ for cls in type(trainer.strategy).__mro__]
    if any(name in SHARDED for name in names):
        raise ConfigError(
            f"{names[0]} cuts the model into shards, so that no rank can run a trial without the others, and one that "
            "runs out of memory would leave them waiting for ever; set batch size and learning rate by hand"
        )
    if trainer.strategy.launcher is not None and "DDPStrategy" not in names:
        raise ConfigError(
            f"{names[0]} starts processes in a way that is not known here; tune with strategy='ddp' or one device"
        )


def launch(trainer: Any, function: Callable[..., T], *args: Any) -> T:
    """Call ``function(trainer, *args)`` in all processes of the Trainer's strategy.

    Returns:
        What the call in this process returned, or rank 0 if the strategy only starts processes for the call.
    """
    launcher = trainer.strategy.launcher
    if launcher is None:
        return function(trainer, *args)
    try:
        outcome = launcher.launch(_in_process, function, trainer, *args)
    except Exception:
        raise
    except BaseException:  # Ctrl-C: the other processes may be waiting for this one
        launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
        raise
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome  # type: ignore[no-any-return]


def runs_elsewhere(trainer: Any) -> bool:
    """Whether :func:`launch` calls the function on copies of its arguments, in processes that then end."""
    return type(trainer.strategy.launcher).__name__ == "_MultiProcessingLauncher"


def _in_process(function: Callable[..., T], trainer: Any, *args: Any) -> T | Exception:
    """The call in one process. Errors are returned: raised, they would reach the first process as another type."""
    try:
        with unchanged_process(quiet=True):
            trainer.strategy.setup_environment()
        return function(trainer, *args)
    except Exception as error:
        if multiprocessing.parent_process() is not None:  # pickling drops the traceback
            error.add_note(traceback.format_exc())
        return error
    finally:
        # gloo's threads drop the tensors of the last collective on their own time, and abort a process whose
        # interpreter shuts down meanwhile, as a spawned one does as soon as this returns.
        time.sleep(0.1)


def on_all_ranks(trainer: Any, function: Callable[[], T]) -> list[T]:
    """Call a function in each process, all alike in how it comes out.

    Returns:
        What it returned, by rank; one item if there is a single process.

    Raises:
        MemoryError: If it ran out of memory on any rank.
        TooLittleDataError: If the data were too little on any rank.
        TuningError: If it failed on another rank only. This rank's own error comes out as it is.
    """
    if trainer.world_size == 1:
        return [function()]
    result: T | None = None
    own: Exception | None = None
    try:
        result = function()
    except Exception as error:
        own = error
    import torch

    outcomes: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(
        outcomes, (result, _weight(own), f"{type(own).__name__}: {own and first_line(own)}")
    )
    worst = max(weight for _, weight, _ in outcomes)
    if worst and _weight(own) == worst:
        raise own  # type: ignore[misc]
    for rank, (_, weight, text) in enumerate(outcomes):
        if worst and weight == worst:
            raise (TooLittleDataError, MemoryError, TuningError)[worst - 1](f"on rank {rank}: {text}")
    return [result for result, _, _ in outcomes]


def _weight(error: Exception | None) -> int:
    if error is None:
        return 0
    return next(weight for weight, kind in enumerate(OUTCOMES, 1) if isinstance(error, kind))


def mean(trainer: Any, value: float) -> float:
    """The mean of a value over all ranks."""
    if trainer.world_size == 1:
        return value
    import torch

    tensor = torch.tensor(value, dtype=torch.float32, device=trainer.strategy.root_device)
    return float(trainer.strategy.reduce(tensor, reduce_op="mean"))


def detach(copied: Any, wait: bool) -> None:
    """Let a copied Trainer run in this process alone, but as if it were one of many.

    It keeps its rank, its share of the data and the room that gradients take on their way to other ranks.

    Args:
        copied: The copied Trainer.
        wait: Whether to wait for the other ranks before ``setup``, so that data are prepared by then.
    """
    real = copied.strategy
    copied._accelerator_connector.strategy = _alone_class(trainer_package(copied))(real, wait)


@functools.cache
def _alone_class(package: str) -> Any:
    import torch

    base = importlib.import_module(f"{package}.strategies").ParallelStrategy

    class AloneStrategy(base):  # type: ignore[misc, valid-type]
        """One device of many, on its own: looks distributed to Lightning, but never talks."""

        is_distributed = True

        def __init__(self, real: Any, wait: bool):
            environment = real.cluster_environment
            super().__init__(
                real.accelerator, real.parallel_devices, environment, real.checkpoint_io, real.precision_plugin
            )
            self._root_device, self._sampling = real.root_device, real.distributed_sampler_kwargs
            self._wait = wait
            self._buckets: Any = None

        @property
        def root_device(self) -> Any:
            return self._root_device

        @property
        def distributed_sampler_kwargs(self) -> dict[str, Any]:
            return dict(self._sampling)

        def model_to_device(self) -> None:
            self.model.to(self._root_device)

        def setup(self, trainer: Any) -> None:
            super().setup(trainer)
            if trainer.training:
                # DistributedDataParallel keeps a second copy of all gradients, in buckets.
                size = parameter_bytes(p for p in self.model.parameters() if p.requires_grad)
                self._buckets = torch.zeros(size, dtype=torch.uint8, device=self._root_device)

        def teardown(self) -> None:
            self._buckets = None
            super().teardown()

        def barrier(self, *args: Any, **kwargs: Any) -> None:
            if self._wait:
                torch.distributed.barrier()
                self._wait = False

        def all_gather(self, tensor: Any, group: Any = None, sync_grads: bool = False) -> Any:
            return torch.stack([tensor] * self.world_size)  # not the others' values, but their shape and memory

        def reduce(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
            return tensor

        def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
            return decision

        def broadcast(self, obj: Any, src: int = 0) -> Any:
            return obj

    return AloneStrategy


@contextlib.contextmanager
def no_process_group() -> Iterator[None]:
    """Hide the process group from whoever asks first: metrics, SyncBatchNorm, the user's own collectives."""
    import torch

    original = torch.distributed.is_initialized
    torch.distributed.is_initialized = lambda: False
    try:
        yield
    finally:
        torch.distributed.is_initialized = original
