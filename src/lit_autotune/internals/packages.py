"""Which of Lightning's two packages an object comes from, without importing either."""

import importlib
import sys
from typing import Any

from lit_autotune.errors import ConfigError

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""The two names that Lightning is installed under; their classes do not mix."""


def is_lightnings(module: str) -> bool:
    """Whether a Python module, by its name, is part of Lightning and not the user's."""
    return module.partition(".")[0] in ("lightning", "pytorch_lightning")


def lightning_package(value: Any, base: str) -> str | None:
    """The one of :data:`PACKAGES` whose ``Trainer``, ``LightningModule`` ... an object is; ``None`` if of neither."""
    return lightning_class(type(value), base)


def lightning_class(kind: type, base: str) -> str | None:
    """The one of :data:`PACKAGES` whose ``Trainer``, ``LightningModule`` ... a class is; ``None`` if of neither."""
    homes = [cls.__module__ for cls in kind.__mro__ if cls.__name__ == base]
    return next((package for package in PACKAGES for home in homes if home.startswith(package + ".")), None)


def trainer_package(trainer: Any) -> str:
    """The package that the Trainer comes from.

    Raises:
        ConfigError: If it is no Lightning Trainer.
    """
    package = lightning_package(trainer, "Trainer")
    if package is None:
        raise ConfigError(f"trainer must be a Lightning Trainer, not {type(trainer).__name__}")
    return package


def imported_package() -> str:
    """The one of :data:`PACKAGES` that the user's code has imported; the first if both are, or neither."""
    return next((package for package in PACKAGES if package in sys.modules), PACKAGES[0])


def require(extra: str, *names: str) -> None:
    """Check that the packages of one of our extras are there.

    Raises:
        ConfigError: If one is not.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f"{name} is missing; install it with: pip install 'lit-autotune[{extra}]'") from error
