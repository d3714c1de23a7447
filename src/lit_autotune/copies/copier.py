"""Deep copies of Trainer, module and datamodule together."""

import copy
from collections.abc import Mapping
from types import GeneratorType
from typing import Any

from lit_autotune._shared.text import first_line
from lit_autotune.copies.sharing import detach_results, find_uncopyable, rebind_functions, share_data
from lit_autotune.errors import ConfigError
from lit_autotune.internals.loggers import silent_logger
from lit_autotune.internals.packages import trainer_package
from lit_autotune.internals.trainers import kept, renew_loops, silent_profiler, stale_parts
from lit_autotune.memory.out_of_memory import is_out_of_memory

Memo = dict[int, Any]


class Copier:
    """Copies a Trainer and what it is to run.

    Args:
        trainer: The user's Trainer.
    """

    def __init__(self, trainer: Any):
        self._trainer = trainer
        self._handles: Memo = {}
        """Locks, files and whatever else is shared, for it cannot be copied."""

    def copy(self, owners: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Copies of a Trainer that has never run, with only the callbacks that a trial needs, and of what it is to run.

        Raises:
            ConfigError: If something can be neither copied nor shared; names the attribute.
        """
        trainer = self._trainer
        memo = stale_parts(trainer, owners)
        _share(owners, memo, skip={id(trainer)})
        package = trainer_package(trainer)
        callbacks: list[Any] = []
        memo[id(trainer.callbacks)] = callbacks
        memo[id(trainer.strategy.launcher)] = None  # copies run in the process that they are made in
        memo[id(trainer.loggers)] = [silent_logger(package, logger) for logger in trainer.loggers]
        memo[id(trainer.profiler)] = silent_profiler(trainer)
        copies, memo = self._deepcopy({**owners, "trainer": trainer}, memo)
        copied = copies.pop("trainer")
        rebind_functions(copies["module"], memo)
        callbacks.extend(copy.deepcopy(kept(trainer.callbacks), memo))
        renew_loops(trainer, copied)
        return copied, copies

    def template(self, role: str, owner: Any, memo: Memo) -> Any:
        """A copy of one object to make further copies from; the memo holds what it refers to besides.

        Raises:
            ConfigError: As :meth:`copy`.
        """
        _share({role: owner}, memo, skip=set(memo))
        return self._deepcopy({role: owner}, memo)[0][role]

    def _deepcopy(self, objects: dict[str, Any], memo: Memo) -> tuple[dict[str, Any], Memo]:
        """Copies by name, and the memo. Handles are shared once it is seen that they cannot be copied."""
        import torch

        memo |= self._handles
        while True:
            attempt = dict(memo)
            try:
                with torch.no_grad():  # scripted layers would be copied into the graph
                    copied = copy.deepcopy(objects, attempt)
                _keep_gradient_flags(objects, copied)
                return copied, attempt
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                name, culprit = self._find_uncopyable(objects, memo)
                if culprit is None:
                    raise
                if id(culprit) in memo or isinstance(culprit, GeneratorType | torch.nn.Module):
                    raise ConfigError(
                        f"{name} cannot be copied ({first_line(error)}), but trials run on copies; "
                        "keep a function that makes it, and call that in setup()"
                    ) from error
                self._handles[id(culprit)] = memo[id(culprit)] = culprit

    def _find_uncopyable(self, objects: Mapping[str, Any], memo: Memo) -> tuple[str, Any]:
        aside = {**memo, id(self._trainer): self._trainer}
        parts = ((value, name, memo if name == "trainer" else aside) for name, value in objects.items())
        return next((found for part in parts if (found := find_uncopyable(*part))), ("", None))


def _keep_gradient_flags(objects: Mapping[str, Any], copied: Mapping[str, Any]) -> None:
    from torch.nn.parameter import is_lazy

    for name, original in objects.items():
        if hasattr(original, "parameters"):
            for old, new in zip(original.parameters(), copied[name].parameters(), strict=True):
                if not is_lazy(old):
                    new.requires_grad_(old.requires_grad)


def _share(owners: Mapping[str, Any], memo: Memo, skip: set[int]) -> None:
    """Enter into the memo what copies share with the originals: data."""
    from torch.utils.data import DataLoader, Dataset

    for role, owner in owners.items():
        if role == "datamodule":
            share_data(owner, role, memo, skip | {id(other) for other in owners.values() if other is not owner})
            continue
        detach_results(owner, memo)
        for name, value in vars(owner).items():
            if isinstance(value, Dataset | DataLoader):
                share_data(value, f"{role}.{name}", memo, skip | {id(owner)})
