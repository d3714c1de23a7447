"""Numbers as users keep them: plain ones, text such as ``"1e-3"``, tensors of one element."""

import math
import numbers
from typing import Any


def as_number(value: Any) -> Any:
    """A value as a plain number; ``None`` if it is none, or one that cannot be replaced, such as a parameter."""
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Real):
        return value
    if isinstance(value, str):
        return _of_text(value)
    return value.item() if _is_rate_tensor(value) else None


def in_kind(old: Any, value: Any) -> Any:
    """A number to take the place of another: a tensor for a tensor, of the same type and on the same device."""
    import torch

    return torch.full_like(old, value) if _is_rate_tensor(old) and as_number(value) is value else value


def _of_text(text: str) -> int | float | None:
    """The finite number that a text is, as YAML leaves ``1e-3`` one."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _is_rate_tensor(value: Any) -> bool:
    """Whether it is a tensor that can hold a rate and is not trained itself."""
    import torch

    return (
        isinstance(value, torch.Tensor) and value.numel() == 1 and value.is_floating_point() and not value.requires_grad
    )
