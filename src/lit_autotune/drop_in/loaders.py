"""Loaders passed by hand, made into a datamodule; where it is the batch size that is tuned, one that can change it."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lit_autotune.copies.owners import overrides
from lit_autotune.copies.sharing import share_data
from lit_autotune.errors import ConfigError
from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.packages import trainer_package
from lit_autotune.internals.strategies import start_method
from lit_autotune.trials.loaders import rebuild

Passed = Mapping[str, Any]
"""What was passed, by the name of the parameter."""


def data_of(trainer: Any, module: Any, method: str, passed: Passed, resize: bool) -> Any:
    """The datamodule that was passed, or one made of the loaders that were; ``None`` if nothing was.

    Args:
        trainer: The user's Trainer.
        module: The user's LightningModule. It goes on to give the loaders that were not passed.
        method: The Trainer's method to tune.
        passed: What was passed as ``train_dataloaders``, ``val_dataloaders``, ``dataloaders`` and ``datamodule``.
        resize: Whether the batch size is tuned. Otherwise loaders are used as they are.

    Raises:
        ConfigError: If something was passed that the method does not use, or that cannot be used.
    """
    given = {name: value for name, value in passed.items() if value is not None}
    _check_method(method, given)
    for name, value in given.items():
        if name == "datamodule" or hasattr(value, "prepare_data_per_node"):
            if others := [other for other in given if other != name]:
                raise ConfigError(f"{name} is a datamodule, so that {others[0]} would not be used; pass one of them")
            return value
    if not given:
        return None
    if start_method(trainer) in ("spawn", "forkserver"):
        raise ConfigError("loaders cannot be sent to spawned processes; pass a datamodule, or use strategy='ddp'")
    stages = {"train_dataloaders": "train", "val_dataloaders": "val", "dataloaders": METHODS[method].stages[0]}
    loaders = {stages[name]: _holder(loader, name) for name, loader in given.items()}
    return _datamodule(trainer, module, loaders, METHODS[method].stages[0] if resize else None)


def _check_method(method: str, given: Passed) -> None:
    if method not in METHODS:
        raise ConfigError(f"method {method!r} is invalid; it is one of {', '.join(METHODS)}")
    unused = ("dataloaders",) if method == "fit" else ("train_dataloaders", "val_dataloaders")
    wanted = "`train_dataloaders` and `val_dataloaders`" if method == "fit" else "`dataloaders`"
    for name in unused:
        if name in given:
            raise ConfigError(f"method={method!r} does not use {name}; please consider setting {wanted} instead")


class GivenLoaders:
    """Mixed into a datamodule made of loaders that were passed by hand.

    Args:
        loaders: By stage what keeps them, see ``_holder``.

    Attributes:
        batch_size: The size of the loaders to tune; there only if there are some.
        tuned: What they are.
    """

    batch_size: int | None
    tuned = "loaders"

    def __init__(self, loaders: Mapping[str, Any]):
        super().__init__()
        self._loaders = loaders
        self._resized: frozenset[str] = frozenset()

    def give(self, stage: str) -> Any:
        """The loaders of a stage."""
        held = self._loaders[stage]
        loader = held() if callable(held) else held[0]
        return rebuild(loader, self.batch_size) if stage in self._resized else loader

    def resize(self, tuned: str) -> None:
        """From now on give loaders of ``batch_size``. Those of other stages that have a size of their own keep it.

        Raises:
            ConfigError: If the loaders to tune have several sizes.
        """
        sizes = {stage: _batch_sizes(self.give(stage)) for stage in self._loaders}
        self.batch_size = _only(sizes[tuned])
        self.tuned = type(self.give(tuned)).__name__
        self._resized = frozenset({tuned, *(stage for stage in sizes if sizes[stage] == sizes[tuned])})


def _datamodule(trainer: Any, module: Any, loaders: Mapping[str, Any], tuned: str | None) -> Any:
    """A datamodule that gives the loaders, those of the ``tuned`` stage with its ``batch_size``."""

    def hook(stage: str) -> Callable[[Any], Any]:
        if stage in loaders:
            return lambda self: self.give(stage)
        return lambda self: getattr(self.trainer.lightning_module, f"{stage}_dataloader")()

    names = {stage: f"{stage}_dataloader" for stage in ("train", "val", "test", "predict")}
    hooks = {name: hook(stage) for stage, name in names.items() if stage in loaders or overrides(module, name)}
    base = importlib.import_module(trainer_package(trainer)).LightningDataModule
    made = type("GivenLoadersDataModule", (GivenLoaders, base), hooks)(loaders)
    if tuned is not None and tuned in loaders:
        made.resize(tuned)
    return made


def _holder(loader: Any, name: str) -> Any:
    """What keeps a loader such that trials get copies of it, or itself where there is no copying it."""
    try:
        share_data(loader, name, {}, set(), lambda name, data: data)
    except ConfigError:
        if isinstance(loader, Iterator):
            raise
        return lambda: loader  # copies share functions
    return (loader,)


def _only(sizes: set[int]) -> int | None:
    """The batch size that loaders have in common; ``None`` if none is known.

    Raises:
        ConfigError: If they differ.
    """
    if len(sizes) > 1:
        listed = ", ".join(map(str, sorted(sizes)))
        raise ConfigError(
            f"the loaders have different batch sizes ({listed}), so that there is not one to tune; pass a datamodule "
            "that makes them from one number"
        )
    return next(iter(sizes), None)


def _batch_sizes(loader: Any) -> set[int]:
    """The batch sizes of loaders, as far as they are known."""
    if isinstance(loader, dict | list | tuple):
        parts = loader.values() if isinstance(loader, dict) else loader
        return {size for part in parts for size in _batch_sizes(part)}
    makers = (loader, getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None))
    size = next((size for maker in makers if isinstance(size := getattr(maker, "batch_size", None), int)), None)
    return set() if size is None else {size}
