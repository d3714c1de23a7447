"""Copies of a module and its Trainer made fit for fake tensors."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

from lit_autotune.packages import trainer_package
from lit_autotune.sandbox import Copies


def on_cpu(made: Copies) -> Copies:
    """Have a copied Trainer run on the CPU, with the user's precision."""
    trainer = made.trainer
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
    return made


def make_fake(module: Any, fake: Any) -> None:
    """Make a module's weights and buffers fake; what is shared stays shared."""
    _replace_tensors(module, fake.from_tensor)
    # torch's own exchanges tensors in place, which fake ones do not allow
    module._apply = functools.partial(_apply, module)


def _apply(module: Any, function: Callable[[Any], Any], recurse: bool = True) -> Any:
    """What ``to()`` and its like come down to."""
    import torch

    def apply(tensor: Any) -> Any:
        with torch.no_grad():
            new = function(tensor)
        is_other_weight = new is not tensor and isinstance(tensor, torch.nn.Parameter)
        return torch.nn.Parameter(new, tensor.requires_grad) if is_other_weight else new

    _replace_tensors(module, apply)
    return module


def _replace_tensors(module: Any, function: Callable[[Any], Any]) -> None:
    new: dict[int, tuple[Any, Any]] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    if id(tensor) not in new:
                        new[id(tensor)] = tensor, function(tensor)
                    tensors[name] = new[id(tensor)][1]
