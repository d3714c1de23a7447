"""Which objects can be tuned."""

from typing import Any

from lit_autotune.errors import ConfigError
from lit_autotune.internals.packages import lightning_package, trainer_package
from lit_autotune.internals.strategies import is_sharded


def uncompiled(module: Any) -> Any:
    """The module inside of ``torch.compile``'s wrapper, or the module itself; trials run what is inside."""
    return getattr(module, "_orig_mod", module)


def logged_hyperparameters(owner: Any) -> Any:
    """The copy of an object's hyperparameters that Lightning sends to loggers; ``None`` if there is none yet."""
    return getattr(owner, "_hparams_initial", None)


def check_objects(trainer: Any, module: Any, datamodule: Any) -> None:
    """Refuse what is no Trainer, module or datamodule, or not all of the same Lightning package.

    Raises:
        ConfigError: Says what it is.
    """
    package = trainer_package(trainer)
    check_strategy(trainer)
    for value, base in ((module, "LightningModule"), (datamodule, "LightningDataModule")):
        if value is None and base == "LightningDataModule":
            continue
        home = lightning_package(value, base)
        if home is None:
            raise ConfigError(f"expected an instance of {base}, got {value!r:.80}")
        if home != package:
            raise ConfigError(
                f"{type(value).__name__} is a {base} of {home}, the Trainer is of {package}; "
                "import both from the same package"
            )


def check_whole(trainer: Any) -> None:
    """Refuse strategies of which one process alone cannot tell what each rank holds.

    Raises:
        ConfigError: If the Trainer's strategy is one of them.
    """
    if is_sharded(trainer):
        raise ConfigError(
            f"{type(trainer.strategy).__name__} cuts the model, and how is decided by processes that find each other: "
            "what each rank holds cannot be estimated from one; tune on the devices, where trials measure it"
        )


def check_strategy(trainer: Any) -> None:
    """Refuse strategies that start processes in a way of their own.

    Raises:
        ConfigError: If the Trainer's strategy is one of them.
    """
    names = [cls.__name__ for cls in type(trainer.strategy).__mro__]
    if trainer.strategy.launcher is not None and "DDPStrategy" not in names and not is_sharded(trainer):
        raise ConfigError(
            f"{names[0]} starts processes in a way that is not known here; tune with strategy='ddp' or one device"
        )
