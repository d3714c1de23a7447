"""Looks at the gradients of accumulated micro-batches after each backward pass."""

from typing import Any, NamedTuple

import torch

from lit_autotune_noise_scale.estimate import Norms


class Seen(NamedTuple):
    """What was seen after one backward pass.

    Attributes:
        group: Number of the optimizer step that it belongs to.
        alone: Squared norm of this micro-batch's own gradient.
        together: Squared norm of the mean over the group so far, if this is its last.
        ends_epoch: Whether the batch was an epoch's last one, which may have fewer samples.
    """

    group: int
    alone: float
    together: float
    ends_epoch: bool


class Watch:
    """Called after each backward pass; holds the weights still once the warm-up is over.

    Args:
        micro_batches: Batches that are accumulated for one optimizer step.
        warmup: Optimizer steps that train before anything is measured.
    """

    def __init__(self, micro_batches: int, warmup: int):
        self._micro_batches, self._warmup = micro_batches, warmup
        self._step = -1
        self._group = self._count = 0
        self._before: list[torch.Tensor] = []

    def __call__(self, module: Any) -> Seen | None:
        """What this backward pass brought; ``None`` during the warm-up."""
        if module.global_step != self._step:
            self._step, self._before, self._count = module.global_step, [], 0
            self._group += 1
        if self._group <= self._warmup:
            return None
        self._count += 1
        summed = [_gradient(parameter) for parameter in module.parameters() if parameter.requires_grad]
        # Lightning divides each loss by the number of micro-batches, so the gradients sum up to their mean.
        own = [now - before for now, before in zip(summed, self._before, strict=True)] if self._before else summed
        alone, together = self._micro_batches**2 * _squared_norm(own), _squared_norm(summed)
        self._before = [one.clone() for one in summed]
        ends_epoch = bool(module.trainer.is_last_batch)
        if self._count == self._micro_batches or ends_epoch:
            _hold_still(module)
        return Seen(self._group, alone, together, ends_epoch)


def norms_of(seen: tuple[Any, ...], micro_batches: int) -> list[Norms]:
    """The norms of each whole group, those left out that an epoch's last batch belongs to."""
    groups: dict[int, list[Seen]] = {}
    for one in seen:
        if one is not None:
            groups.setdefault(one.group, []).append(one)
    return [
        Norms(sum(one.alone for one in group) / micro_batches, group[-1].together)
        for group in groups.values()
        if len(group) == micro_batches and not any(one.ends_epoch for one in group)
    ]


def _gradient(parameter: torch.Tensor) -> torch.Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter, dtype=torch.float32)
    return (gradient.to_dense() if gradient.is_sparse else gradient).detach().float()


def _squared_norm(tensors: list[torch.Tensor]) -> float:
    return float(sum(one.double().square().sum() for one in tensors))


def _hold_still(module: Any) -> None:
    """All is measured at one point: an optimizer that gets no gradient stays where it is, but for its momentum."""
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()
