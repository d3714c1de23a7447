"""The loss of a fixed validation batch, measured in the midst of training without a trace in it."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from lit_autotune.errors import ConfigError
from lit_autotune.process_state import random_state
from lit_autotune.sandbox import Copies

HELD_OUT = "val"
"""The value of ``lr_monitor`` that asks for it."""


class HeldOutLoss:
    """Measures the loss of the first validation batch, in eval mode and without gradients.

    The loss is what ``validation_step`` returns or logs as a loss, else what ``training_step`` returns.
    Neither BatchNorm's statistics nor the random state change.

    Args:
        made: The copies that are trained.
    """

    def __init__(self, made: Copies):
        self._made = made
        # As they are now: not yet wrapped to count steps.
        self._hooks = [made.module.validation_step, made.module.training_step]
        self._batch: list[Any] = []

    def measure(self) -> float:
        """The loss with the present weights.

        Raises:
            ConfigError: If there is no batch, or no loss.
        """
        import torch

        trainer = self._made.trainer
        with random_state(), torch.no_grad(), _evaluating(trainer, self._made.module) as logged:
            if not self._batch:
                self._batch.append(self._first_batch())
            with trainer.precision_plugin.val_step_context():
                loss = self._loss(logged)
        return float(loss)

    def _loss(self, logged: Mapping[str, Any]) -> Any:
        while self._hooks:
            output = self._hooks[0](self._batch[0], 0)
            loss = output.get("loss") if isinstance(output, Mapping) else output
            if loss is None:
                loss = next((value for name, value in logged.items() if "loss" in name and not callable(value)), None)
            if loss is not None:
                return loss
            # From now on the other one, which must not make a step of its own.
            self._hooks = self._hooks[1:] if self._made.module.automatic_optimization else []
        raise ConfigError(
            f"lr_monitor = {HELD_OUT!r}: validation_step neither returns nor logs a loss; return it there, or log it "
            "under a name with 'loss' in it"
        )

    def _first_batch(self) -> Any:
        trainer, module = self._made.trainer, self._made.module
        loaders = trainer.fit_loop.epoch_loop.val_loop._data_source.dataloader()
        while isinstance(loaders, list | tuple | dict):
            loaders = next(iter(loaders.values() if isinstance(loaders, dict) else loaders), None)
        batch = next(iter(loaders), None) if loaders is not None else None
        if batch is None:
            raise ConfigError(f"lr_monitor = {HELD_OUT!r}: val_dataloader gives no batch; let it give at least one")
        batch = module._on_before_batch_transfer(trainer.precision_plugin.convert_input(batch), dataloader_idx=0)
        return trainer.strategy.batch_to_device(batch, dataloader_idx=0)


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
