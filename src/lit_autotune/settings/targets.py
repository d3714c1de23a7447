"""The modules, datamodules and Trainers that a Python file defines."""

import inspect
from pathlib import Path
from typing import Any

from lit_autotune._shared.import_string import load_file
from lit_autotune.errors import ConfigError
from lit_autotune.internals.packages import lightning_package

BASES = {"module": "LightningModule", "datamodule": "LightningDataModule", "trainer": "Trainer"}


def find_targets(path: str) -> dict[str, str]:
    """The import strings of the one module, datamodule and Trainer in a file; what it does not have is left out.

    An object counts before classes: it is what the file would train.

    Raises:
        TargetError: If there is no such file.
        ConfigError: If it has no module, or several of a kind; lists them.
    """
    loaded = load_file(Path(path).resolve(), path)
    targets: dict[str, str] = {}
    for role, base in BASES.items():
        names = _names(loaded, base)
        if len(names) > 1:
            listed = ", ".join(f"{path}:{name}" for name in names)
            raise ConfigError(f"{path} has several of the kind {base}: {listed}; name the ones to tune")
        if names:
            targets[role] = f"{path}:{names[0]}"
    if "module" not in targets:
        raise ConfigError(f"{path} defines no LightningModule; name where it is: package.module:Class")
    return targets


def _names(loaded: Any, base: str) -> list[str]:
    objects: dict[int, str] = {}
    classes: dict[int, str] = {}
    for name, value in vars(loaded).items():
        if inspect.isclass(value):
            is_one = any(cls.__name__ == base for cls in value.__mro__[1:]) and value.__module__ == loaded.__name__
            if is_one and not inspect.isabstract(value):
                classes.setdefault(id(value), name)
        elif lightning_package(value, base) is not None:
            objects.setdefault(id(value), name)
    return list((objects or classes).values())
