"""What cannot be traced with fake tensors, by name."""

import linecache
import traceback
from pathlib import Path
from typing import Any

from lit_autotune.errors import EstimateError
from lit_autotune.internals.tensors import needs_values

LIBRARIES = {"torch", "torchmetrics", "lightning", "pytorch_lightning", "lightning_fabric", "lit_autotune"}
"""Packages whose frames say nothing about where in the user's code an error is."""

HINTS = ("tensor subclass", "FakeTensor", "fake tensor")
"""What the messages of errors that fake tensors cause have in common."""


def check_trainer(trainer: Any) -> None:
    """Refuse strategies that spread a module over several devices, or over a device and something else.

    Raises:
        EstimateError: Names the strategy.
    """
    strategy = type(trainer.strategy)
    if trainer.world_size > 1 or all(cls.__name__ != "SingleDeviceStrategy" for cls in strategy.__mro__):
        raise EstimateError(f"{strategy.__name__}: an estimate is for a single device; use a Trainer with devices=1")


def check_traceable(module: Any, optimizers: list[Any]) -> None:
    """Refuse what would be traced, but with a wrong result.

    Raises:
        EstimateError: Says what it is.
    """
    import torch

    for name, part in module.named_modules():
        if isinstance(part, torch.nn.RNNBase):
            raise EstimateError(
                f"module.{name} is of type {type(part).__name__}, whose working memory torch can only tell by running "
                "it; find the batch size on the device itself"
            )
    for optimizer in optimizers:
        if any(group.get("capturable") for group in optimizer.param_groups):
            raise EstimateError(
                f"{type(optimizer).__name__}(capturable=True) runs on its device only; estimate with capturable=False"
            )


def reason(error: BaseException) -> str | None:
    """Why a trace failed: the operation that needs values, and where it stands; ``None`` if that is not the cause."""
    operation = needs_values(error)
    if (
        operation is None
        and isinstance(error, RuntimeError | TypeError | NotImplementedError)
        and any(hint in str(error) for hint in HINTS)
    ):
        operation = str(error).splitlines()[0]
    if operation is None:
        return None
    return f"{_place(error)} needs the values of a tensor, where an estimate has only shapes ({operation})"


def _place(error: BaseException) -> str:
    """The innermost line of code that is not a library's, else that is not in a private module of one."""
    names = [
        (frame.f_globals.get("__name__", ""), frame, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [part for part in names if part[0].partition(".")[0] not in LIBRARIES]
    public = [part for part in names if "._" not in part[0] and not part[0].startswith("lit_autotune")]
    _, frame, line = (own or public or names)[-1]
    code = frame.f_code
    source = linecache.getline(code.co_filename, line).strip()
    return f"{Path(code.co_filename).name}:{line}, in {code.co_name}: `{source}`"
