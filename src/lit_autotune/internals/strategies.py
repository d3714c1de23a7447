"""Strategies of Trainers: how their processes come together; copies that are alone in theirs, or on the CPU."""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import Any

from lit_autotune.internals.packages import trainer_package
from lit_autotune.internals.tensors import parameter_bytes


def runs_elsewhere(trainer: Any) -> bool:
    """Whether ``tuning.launch`` calls the function on copies of its arguments, in processes that then end."""
    return type(trainer.strategy.launcher).__name__ == "_MultiProcessingLauncher"


def start_method(trainer: Any) -> str | None:
    """How the Trainer's strategy starts processes, as :mod:`multiprocessing` calls it; ``None`` if otherwise."""
    return getattr(trainer.strategy.launcher, "_start_method", None)


SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy")
"""Those that cut the model, so that no rank can run a trial without the others."""


def is_sharded(trainer: Any) -> bool:
    """Whether the Trainer's strategy cuts the model."""
    return not _names(trainer).isdisjoint(SHARDED)


def is_parallel(trainer: Any) -> bool:
    """Whether the Trainer's strategy is one for several processes, were it for a single one."""
    return "ParallelStrategy" in _names(trainer)


def _names(trainer: Any) -> set[str]:
    return {cls.__name__ for cls in type(trainer.strategy).__mro__}


def replicas(trainer: Any) -> int:
    """How many different shares of the data the processes of a Trainer take."""
    size = getattr(trainer.strategy, "_data_parallel_size", None)
    if size is None:
        return int(trainer.world_size)
    return int(trainer.num_nodes if size == "auto" else size)


def meet(trainer: Any) -> None:
    """Have the processes of a Trainer find each other, as a fit would."""
    strategy = trainer.strategy
    if "ModelParallelStrategy" in _names(trainer):
        strategy._setup_distributed()  # what else is done there needs the module
    else:
        strategy.setup_environment()


def meet_at(trainer: Any, store: Any, rank: int, size: int) -> None:
    """Have processes find each other somewhere else than a fit would; one that follows stays with that."""
    import torch

    strategy = trainer.strategy
    device = strategy.root_device
    strategy.accelerator.setup_device(device)
    torch.distributed.init_process_group(
        strategy._get_process_group_backend(),
        store=store,
        rank=rank,
        world_size=size,
        device_id=None if device.type == "cpu" else device,
    )


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


def on_cpu(trainer: Any) -> None:
    """Have a copied Trainer run on the CPU, with the user's precision."""
    strategy = trainer.strategy
    if strategy.root_device.type != "cpu":
        package = trainer_package(trainer)
        cpu = importlib.import_module(f"{package}.accelerators").CPUAccelerator()
        precision = strategy.precision_plugin
        for name, value in (("device", "cpu"), ("scaler", None)):  # of mixed precision
            if hasattr(precision, name):
                setattr(precision, name, value)
        single = importlib.import_module(f"{package}.strategies").SingleDeviceStrategy
        trainer._accelerator_connector.strategy = single("cpu", cpu, precision_plugin=precision)
