"""Copies of a module and its Trainer made fit for fake tensors."""

import functools
from collections.abc import Callable
from typing import Any

from lit_autotune.internals.tensors import own_tensors, replace_apply


def make_fake(module: Any, fake: Any) -> None:
    """Make a module's weights and buffers fake; what is shared stays shared."""
    _replace_tensors(module, fake.from_tensor)
    # torch's own exchanges tensors in place, which fake ones do not allow
    replace_apply(module, functools.partial(_apply, module))


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
    for tensors in own_tensors(module):
        for name, tensor in tensors.items():
            if tensor is not None:
                if id(tensor) not in new:
                    new[id(tensor)] = tensor, function(tensor)
                tensors[name] = new[id(tensor)][1]
