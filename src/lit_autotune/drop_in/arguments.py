"""What the Tuner is asked for, made into a ``TunerConfig``; and what is refused beforehand."""

from typing import Any

from pydantic import Field, ValidationError

from lit_autotune._shared.problems import first_problem
from lit_autotune._shared.text import Wording
from lit_autotune.config import TunerConfig
from lit_autotune.errors import ConfigError

FEWEST = 10
"""With fewer points there is a curve, but no suggestion."""


class _Arguments(TunerConfig):
    """A config that may ask for fewer steps than can be read."""

    lr_num_training: int = Field(100, ge=1)


def make_config(trainer: Any, **fields: Any) -> TunerConfig:
    """The config for a call.

    Raises:
        ConfigError: If an argument makes no sense.
    """
    try:
        return _Arguments(verbose=trainer.progress_bar_callback is not None, **fields)
    except ValidationError as error:
        raise ConfigError(f"Tuner: {first_problem(error)}") from error


def bound_size(config: TunerConfig, words: Wording) -> Wording:
    """Bound the batch size by what so many trials come to by doubling; returns what to call the bound then."""
    bound = config.batch_size_init_val << min(config.batch_size_max_trials - 1, 63)
    if config.batch_size_max is not None and bound >= config.batch_size_max:
        return words
    config.batch_size_max = bound
    return words.with_names(batch_size_max="max_trials")


def refuse_callback(trainer: Any, name: str) -> None:
    """Refuse a Trainer that will tune once more by itself.

    Raises:
        ConfigError: If it has a callback of that class.
    """
    if any(cls.__name__ == name for callback in trainer.callbacks for cls in type(callback).__mro__):
        raise ConfigError(
            f"the Trainer is already configured with a `{name}` callback, which would replace what is found here as "
            "soon as fit begins; remove it"
        )
