"""Watches the user's module while copies of it run: what reaches it shows that a copy is none."""

from typing import Any

from lit_autotune.internals.tensors import version

MOST_BYTES = 2**28
"""Tensors up to here are kept, to be put back: of buffers the statistics of BatchNorm, not a bank of features."""


class LeakError(Exception):
    """Raised when a run on copies has reached the user's own module; says what it reached."""


class Guard:
    """Notices when a run on copies computes with the parameters of the user's module.

    Args:
        module: The user's module; ``None`` in a process that does not have it.
    """

    def __init__(self, module: Any):
        from torch.nn.parameter import is_lazy

        parameters, buffers = (module.named_parameters(), module.named_buffers()) if module is not None else ((), ())
        self._parameters = [(name, one, one.grad) for name, one in parameters if not is_lazy(one)]
        self._buffers = [(name, one) for name, one in buffers if not is_lazy(one)]
        size = sum(one.nbytes for _, one in self._buffers)
        self._kept = [one.detach().clone() for _, one in self._buffers] if size <= MOST_BYTES else []
        self._versions = self._now()

    def check(self) -> None:
        """Put gradients and buffers back if a run has changed any.

        Raises:
            LeakError: If it has.
        """
        touched = next((name for name, one, grad in self._parameters if one.grad is not grad), None)
        now = self._now()
        names = [name for name, *_ in (*self._parameters, *self._buffers)]
        touched = touched or next((n for n, a, b in zip(names, now, self._versions, strict=True) if a != b), None)
        if touched is None:
            return
        import torch

        with torch.no_grad():
            for _, one, grad in self._parameters:
                one.grad = grad
            for (_, one), kept in zip(self._buffers, self._kept, strict=bool(self._kept)):
                one.copy_(kept)
        self._versions = self._now()
        raise LeakError(f"module.{touched}")

    def _now(self) -> list[int]:
        return [version(one) for _, one, *_ in (*self._parameters, *self._buffers)]
