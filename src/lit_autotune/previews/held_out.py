"""The loss of fixed batches that are not trained on, measured in the midst of training without a trace in it."""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lit_autotune.config import HELD_OUT
from lit_autotune.copies.owners import Copies
from lit_autotune.copies.process_state import random_state
from lit_autotune.errors import ConfigError
from lit_autotune.internals.loops import ready, validation_loaders
from lit_autotune.trials.loaders import rebuild

SAMPLES, CHUNK = 320, 32
"""How many samples are scored, and how many at a time: enough chunks to tell a difference from its noise."""

MOST_CHUNKS = 40
"""Chunks at most, where memory holds only smaller ones."""


class HeldOutLoss:
    """Measures the loss of held-out batches, in eval mode and without gradients.

    The loss is what ``validation_step`` returns or logs as a loss, else what ``training_step`` returns.
    Neither BatchNorm's statistics nor the random state change.

    Args:
        copies: The copies that are trained.
        batches: Batches as loaders give them; by default the first validation batch.
    """

    def __init__(self, copies: Copies, batches: Sequence[Any] | None = None):
        self._made = copies
        # As they are now: not yet wrapped to count steps.
        self._hooks = [copies.module.validation_step, copies.module.training_step]
        self._raw = batches
        self._batches: list[Any] = []

    def measure(self) -> float:
        """The mean loss with the present weights.

        Raises:
            ConfigError: As :meth:`losses`.
        """
        losses = self.losses()
        return math.fsum(losses) / len(losses)

    def losses(self) -> list[float]:
        """The loss of each batch with the present weights.

        Raises:
            ConfigError: If there is no batch, or no loss.
        """
        import torch

        trainer = self._made.trainer
        losses = []
        with random_state(), torch.no_grad(), _evaluating(trainer, self._made.module) as logged:
            if not self._batches:
                self._batches = [
                    ready(trainer, self._made.module, batch) for batch in self._raw or [self._first_batch()]
                ]
            for number, batch in enumerate(self._batches):
                logged.clear()
                with trainer.precision_plugin.val_step_context():
                    losses.append(float(self._loss(batch, number, logged)))
        return losses

    def _loss(self, batch: Any, number: int, logged: Mapping[str, Any]) -> Any:
        while self._hooks:
            output = self._hooks[0](batch, number, **self._extra(self._hooks[0]))
            loss = output.get("loss") if isinstance(output, Mapping) else output
            if loss is None:
                losses = {name: value for name, value in logged.items() if "loss" in name and not callable(value)}
                loss = losses.get("val_loss", next(iter(losses.values()), None))
            if loss is not None:
                return loss
            # From now on the other one, which must not make a step of its own.
            self._hooks = self._hooks[1:] if self._made.module.automatic_optimization else []
        raise ConfigError(
            f"lr_monitor = {HELD_OUT!r}: validation_step neither returns nor logs a loss; return it there, or log it "
            "under a name with 'loss' in it"
        )

    def _extra(self, hook: Callable[..., Any]) -> dict[str, int]:
        """With several validation loaders ``validation_step`` is told which one; here it is the first."""
        return {"dataloader_idx": 0} if "dataloader_idx" in inspect.signature(hook).parameters else {}

    def _first_batch(self) -> Any:
        batch = next(iter(_first_loader(validation_loaders(self._made.trainer))), None)
        if batch is None:
            raise ConfigError(f"lr_monitor = {HELD_OUT!r}: val_dataloader gives no batch; let it give at least one")
        return batch


def _first_loader(loaders: Any) -> Any:
    while isinstance(loaders, list | tuple | dict):
        loaders = next(iter(loaders.values() if isinstance(loaders, dict) else loaders), None)
    return () if loaders is None else loaders


def sample_batches(loaders: Any, most_samples: int | None = None, indices: Sequence[int] = ()) -> list[Any]:
    """Some batches of the first of the loaders, from all over its data where these can be indexed.

    Args:
        loaders: A loader, or lists or dictionaries of them.
        most_samples: How many fit in memory at a time; if unknown, as many as the loader itself takes.
        indices: The samples to take; by default evenly spaced ones.
    """
    loader = _first_loader(loaders)
    order = indices or spread(sample_order(loader))
    if order:
        size = min(CHUNK, most_samples or loader.batch_size or CHUNK)
        return list(rebuild(loader, size, sampler=spread(order, size * MOST_CHUNKS)))
    batches = []
    for batch in loader:
        batches.append(batch)
        if len(batches) * CHUNK >= SAMPLES:
            break
    return batches


def sample_order(loader: Any) -> list[int]:
    """The indices of the samples that a loader goes through; empty if it does not work by indices of its data set."""
    from torch.utils.data import BatchSampler, DataLoader, IterableDataset

    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return []
    batches = loader.batch_sampler
    if type(batches) is not BatchSampler:
        return []
    order = [int(i) for i in batches.sampler]
    return order if all(0 <= i < len(loader.dataset) for i in order) else []


def spread(order: Sequence[int], most: int = SAMPLES) -> list[int]:
    """Evenly spaced ones, as many as are scored or fewer."""
    count = min(SAMPLES, most, len(order))
    return [order[i * len(order) // count] for i in range(count)]


@contextlib.contextmanager
def _evaluating(trainer: Any, module: Any) -> Iterator[dict[str, Any]]:
    """As in validation, but what is logged comes out here; all is put back afterwards."""
    logged: dict[str, Any] = {}

    def log(name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        logged[name] = value

    def log_dict(values: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        logged.update(values)

    modes = {part: part.training for part in module.modules()}
    before = {name: vars(module)[name] for name in ("log", "log_dict") if name in vars(module)}
    module.log, module.log_dict = log, log_dict
    module.eval()
    trainer.validating = True
    try:
        yield logged
    finally:
        trainer.training = True
        for part, training in modes.items():
            part.training = training
        del module.log, module.log_dict
        vars(module).update(before)
