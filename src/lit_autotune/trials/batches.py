"""Which batches a trial runs on: the first ones, the longest samples, or a batch that the user makes."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lit_autotune._shared.import_string import load_target
from lit_autotune.copies.nested import parts
from lit_autotune.copies.owners import Copies
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError
from lit_autotune.internals.methods import METHODS
from lit_autotune.trials.loaders import rebuild


def check_probe(probe: str) -> None:
    """Refuse what names neither a kind of batch nor a function.

    Raises:
        TargetError: If there is no such function.
        ConfigError: If it cannot be called.
    """
    if probe not in ("first", "longest") and not callable(load_target(probe, Path.cwd())):
        raise ConfigError(f"batch_size_probe = {probe!r}: that is no function which takes a batch size")


def use_batches(sandbox: Sandbox, copies: Copies, probe: str, batch_size: int, method: str) -> None:
    """Have copies run on certain batches.

    Args:
        sandbox: Keeps what was found out about the data, for the next trial.
        copies: The copies.
        probe: ``"first"``, ``"longest"``, or the import string of a function that takes a batch size.
        batch_size: Size of the trial, in samples.
        method: The Trainer's method that is run.
    """
    if probe == "first":
        return
    if probe == "longest":
        for stage in METHODS[method].stages:
            for role in copies.owners:
                sort = functools.partial(_sorted_loaders, sandbox, f"{role} {stage}")
                copies.wrap(f"{stage}_dataloader", sort, role)
        return
    make = load_target(probe, Path.cwd())

    def replace(original: Callable[..., Any], batch: Any, *args: Any) -> Any:
        wanted = copies.trainer.training if method == "fit" else True
        return original(make(batch_size) if wanted else batch, *args)

    for role in copies.owners:
        copies.wrap("on_before_batch_transfer", replace, role)


def use_smaller_batches(copies: Copies, samples: int) -> None:
    """Have copies train on batches of fewer samples than their batch size, which stays what it is."""
    for role in copies.owners:
        copies.wrap("train_dataloader", lambda original: rebuild(original(), samples), role)


def _sorted_loaders(sandbox: Sandbox, name: str, original: Callable[[], Any]) -> Any:
    return _sort(original(), sandbox, name)


def _sort(loader: Any, sandbox: Sandbox, name: str) -> Any:
    """The same loaders, longest samples first."""
    from torch.utils.data import DataLoader

    if isinstance(loader, Mapping):
        return {key: _sort(part, sandbox, f"{name} {key}") for key, part in loader.items()}
    if isinstance(loader, list | tuple):
        return [_sort(part, sandbox, f"{name} {i}") for i, part in enumerate(loader)]
    if not isinstance(loader, DataLoader):
        return loader
    order = sandbox.remember(f"longest of {name}", lambda: _longest_first(loader.dataset))
    batches = getattr(loader, "batch_sampler", None)
    return rebuild(loader, getattr(batches, "batch_size", None), sampler=order)


def _longest_first(dataset: Any) -> list[int]:
    try:
        lengths = [_length(dataset[i]) for i in range(len(dataset))]
    except (TypeError, NotImplementedError):
        raise ConfigError(
            "batch_size_probe = 'longest': the data set has no length; name a function that makes a batch instead"
        ) from None
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def _length(sample: Any) -> int:
    """Elements of a sample: of tensors, arrays, texts and lists, at any depth."""
    if hasattr(sample, "numel"):
        return int(sample.numel())
    if isinstance(sample, str | bytes):
        return len(sample)
    if hasattr(sample, "size") and hasattr(sample, "shape"):
        return int(sample.size)
    return sum(_length(part) for _, part in parts(sample)) or 1
