"""A training that goes on from a checkpoint is not tuned."""

from typing import Any

from lit_autotune.config import TunerConfig
from lit_autotune.report.console import Console


def goes_on(checkpoint: Any, trainer: Any, config: TunerConfig) -> bool:
    """Whether a training goes on from a checkpoint; if it was to be tuned, the user is told that it is not.

    Lightning restores the optimizer with its rates, so a rate found now would be lost; and the rate in the checkpoint
    belongs to the batch size that it was trained with.
    """
    if checkpoint and config.asks_for_tuning:
        with Console(config.verbose and trainer.is_global_zero) as console:
            console.warn(
                f"nothing tuned: the training goes on from {checkpoint}, whose optimizer brings its own learning rate; "
                "the batch size that belongs to it stays"
            )
    return bool(checkpoint)
