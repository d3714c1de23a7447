"""What the result of a tuning depends on, as far as that can be told without running it.

A doubt counts as a difference: a value that cannot be described leaves its class's name, and the code of all of the
user's modules that are imported belongs to it, not of those alone that seem to matter.
"""

import functools
import hashlib
import json
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lit_autotune._version import __version__
from lit_autotune.cache.store import Fingerprint
from lit_autotune.config import TunerConfig
from lit_autotune.copies.attributes import Values
from lit_autotune.copies.callbacks import that_act
from lit_autotune.copies.dry_run import dry_run
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.internals.packages import is_lightnings
from lit_autotune.internals.trainers import facts

NO_MATTER = {
    "verbose",
    "is_debug",
    "batch_size_plot_path",
    "lr_plot_path",
    "lr_plot_rules",
    "plot_style",
    "cache",
}
"""Settings that change nothing in the values found."""

TRAINERS = (
    "num_nodes",
    "limit_val_batches",
    "val_check_interval",
    "check_val_every_n_epoch",
    "gradient_clip_algorithm",
    "reload_dataloaders_every_n_epochs",
)
"""What else of a Trainer trials and previews depend on, besides what is always told."""

MAX_DEPTH = 4
MAX_ITEMS = 200
"""Of a container that is described item by item."""


def fingerprint(sandbox: Sandbox, config: TunerConfig, values: Values, plugins: Mapping[str, str]) -> Fingerprint:
    """What a tuning's result depends on.

    Args:
        sandbox: Has the objects; a dry run on copies tells what the data are like.
        config: The settings in force.
        values: What to write to the copies for the dry run, such as a batch size that surely fits.
        plugins: The versions of the distributions whose plugins are in use.
    """
    trainer = sandbox.trainer
    settings = {name: value for name, value in config.model_dump(mode="json").items() if name not in NO_MATTER}
    found = {
        "settings": settings,
        **{role: _arguments(owner) for role, owner in sandbox.originals.items()},
        "Trainer": facts(trainer) | {name: describe(getattr(trainer, name)) for name in TRAINERS} | _callbacks(trainer),
        "data": _data(sandbox, values),
        "device": _device(trainer),
        "versions": {"lit-autotune": __version__, "Python": platform.python_version(), **_versions(), **plugins},
        "code": _code(sandbox),
    }
    return json.loads(json.dumps(found, default=str))  # type: ignore[no-any-return]


def describe(value: Any, depth: int = 0) -> Any:
    """A value as JSON that is the same for the same value in another process."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if isinstance(value, functools.partial):
        return [describe(part, depth + 1) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if (shape := getattr(value, "shape", None)) is not None:
        return f"{_name(value)} {_steady(str(shape))} {getattr(value, 'dtype', '')}".rstrip()
    if depth >= MAX_DEPTH:
        return _name(value)
    if isinstance(value, Mapping):
        items = list(value.items())[:MAX_ITEMS]
        return {"length": len(value)} | {str(key): describe(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [len(value), *(describe(item, depth + 1) for item in value[:MAX_ITEMS])]
    return {"class": _name(value)} | _public(value, depth) if hasattr(value, "__dict__") else _text(value)


def _public(value: Any, depth: int = 0) -> dict[str, Any]:
    names = [name for name in vars(value) if not name.startswith("_")]
    return {name: describe(vars(value)[name], depth + 1) for name in names}


def _arguments(owner: Any) -> dict[str, Any]:
    """Class, arguments and attributes of a module or datamodule; of its layers what a look at them shows."""
    found = {"class": _name(owner), **_public(owner)}
    if hparams := getattr(owner, "hparams", None):
        found |= {str(name): describe(value, 1) for name, value in hparams.items()}
    if parameters := getattr(owner, "named_parameters", None):
        found["layers"] = _digest(_steady(repr(owner)))
        shapes = [(name, str(p.dtype), p.requires_grad, describe(p)) for name, p in parameters()]
        found["parameters"] = _digest(json.dumps(shapes))
    return found


def _callbacks(trainer: Any) -> dict[str, Any]:
    return {f"callback {_name(callback)}": describe(callback) for callback in that_act(trainer.callbacks)}


def _data(sandbox: Sandbox, values: Values) -> dict[str, Any]:
    """How many samples there are, and the shapes of a batch."""
    seen = dry_run(sandbox, values, validates=True)
    loaders = {"training": seen.supplies, "validation": seen.validation}
    return {
        "batches": seen.batches,
        **{f"{name} samples": [supply.samples for supply in supplies] for name, supplies in loaders.items()},
        "shapes": sorted((str(place), size) for place, size in seen.shapes.items()),
    }


def _device(trainer: Any) -> dict[str, Any]:
    import psutil
    import torch

    device = trainer.strategy.root_device
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return {"name": properties.name, "memory": properties.total_memory}
    cores = {"name": platform.machine(), "cores": psutil.cpu_count(), "threads": torch.get_num_threads()}
    return {**cores, "memory": psutil.virtual_memory().total}


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "lightning", "pytorch-lightning"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _code(sandbox: Sandbox) -> dict[str, str]:
    """A digest of each file of the user's that is imported, and of those that the classes in use come from."""
    files = {Path(file) for module in list(sys.modules.values()) if (file := _file_of(module)) and _is_users(file)}
    shown = {}
    for cls in _classes(sandbox):
        file = _file_of(sys.modules.get(cls.__module__))
        if file:
            files.add(Path(file))
        else:  # a notebook's cell
            shown[cls.__qualname__] = _digest(_text_of(cls))
    return shown | {str(path): _digest(path.read_bytes()) for path in sorted(files) if path.is_file()}


def _classes(sandbox: Sandbox) -> Iterator[type]:
    """The classes of all objects in use, and of the layers, but for torch's, Lightning's and Python's own."""
    trainer, objects = sandbox.trainer, list(sandbox.originals.values())
    parts = [part for owner in objects if hasattr(owner, "modules") for part in owner.modules()]
    every = {cls for one in (trainer, *trainer.callbacks, *objects, *parts) for cls in type(one).__mro__}
    for cls in sorted(every, key=lambda cls: (cls.__module__, cls.__qualname__)):
        package = cls.__module__.partition(".")[0]
        if not (is_lightnings(cls.__module__) or package in ("torch", "builtins", "lit_autotune")):
            yield cls


def _file_of(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and file.endswith(".py") else None


@functools.cache
def _is_users(file: str) -> bool:
    """Whether a file is no part of an installation, nor of this package, whose version is known."""
    path = Path(file)
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    ours = Path(__file__).parents[1]
    return not (installed or path.is_relative_to(sysconfig.get_path("stdlib")) or path.is_relative_to(ours))


def _text_of(cls: type) -> str:
    """The source of a class that is in no file; failing that what its functions are compiled to."""
    import inspect

    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        codes = [value.__code__ for value in vars(cls).values() if hasattr(value, "__code__")]
        return _steady(repr([(code.co_name, code.co_code, code.co_names, code.co_consts) for code in codes]))


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _text(value: Any) -> str:
    return _steady(str(value))[:200]


def _steady(text: str) -> str:
    """A text without addresses in memory, which are others in each process."""
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
