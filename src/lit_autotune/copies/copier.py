"""Deep copies of Trainer, module and datamodule together."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import GeneratorType
from typing import Any

from lit_autotune._shared.text import first_line
from lit_autotune.copies.callbacks import to_copy
from lit_autotune.copies.cleanup import deepcopy
from lit_autotune.copies.rebinding import rebind
from lit_autotune.copies.shared_data import SharedData
from lit_autotune.copies.sharing import detach_results, find_uncopyable, share_data
from lit_autotune.errors import ConfigError
from lit_autotune.internals.loggers import silent_logger
from lit_autotune.internals.packages import trainer_package
from lit_autotune.internals.trainers import renew_loops, silent_profiler, stale_parts
from lit_autotune.memory.out_of_memory import is_out_of_memory

Memo = dict[int, Any]


class Copier:
    """Copies a Trainer and what it is to run.

    Args:
        trainer: The user's Trainer.
        scratch: A folder for what hooks of copies write; it is to be deleted afterwards.

    Attributes:
        data: What stands for the user's data in copies.
    """

    def __init__(self, trainer: Any, scratch: Path):
        self._trainer, self._scratch = trainer, scratch
        self.data = SharedData()
        self._handles: Memo = {}
        """Locks, files and whatever else is shared, for it cannot be copied."""

    def copy(self, owners: Mapping[str, Any], themselves: bool = False) -> tuple[Any, dict[str, Any]]:
        """Copies of a Trainer that has never run, with only the callbacks that a trial needs, and of what it is to run.

        Args:
            owners: What it is to run.
            themselves: Whether it is to run the very objects, not copies of them.

        Raises:
            ConfigError: If something can be neither copied nor shared; names the attribute.
        """
        trainer = self._trainer
        memo = stale_parts(trainer, owners)
        self.data.begin_copy()
        self._share(owners, memo, skip={id(trainer)}, stand_in=self.data.stand_in)
        if themselves:
            memo |= {id(owner): owner for owner in owners.values()}
        package = trainer_package(trainer)
        callbacks: list[Any] = []
        memo[id(trainer.callbacks)] = callbacks
        memo[id(trainer.strategy.launcher)] = None  # copies run in the process that they are made in
        memo[id(trainer.loggers)] = [silent_logger(package, logger, self._scratch) for logger in trainer.loggers]
        memo[id(trainer.profiler)] = silent_profiler(trainer)
        copies, memo = self._deepcopy({**owners, "trainer": trainer}, memo)
        for callback in to_copy(trainer.callbacks):
            copied, memo = self._deepcopy({type(callback).__name__: callback}, memo)
            callbacks.extend(copied.values())
        rebind([*copies.values(), *callbacks], memo)
        copied_trainer = copies.pop("trainer")
        renew_loops(trainer, copied_trainer)
        return copied_trainer, copies

    def template(self, role: str, owner: Any, memo: Memo) -> Any:
        """A copy of one object to make further copies from; the memo holds what it refers to besides.

        Raises:
            ConfigError: As :meth:`copy`.
        """
        self._share({role: owner}, memo, skip=set(memo), stand_in=self.data.adopt)
        copies, memo = self._deepcopy({role: owner}, memo)
        rebind(copies.values(), memo)
        return copies[role]

    def _deepcopy(self, objects: dict[str, Any], memo: Memo) -> tuple[dict[str, Any], Memo]:
        """Copies by name, and the memo. Handles are shared once it is seen that they cannot be copied."""
        import torch

        memo |= self._handles
        while True:
            attempt = dict(memo)
            # Under its own id a memo keeps alive what its other ids are of.
            attempt[id(attempt)] = list(attempt.pop(id(memo), ()))
            try:
                with torch.no_grad():  # scripted layers would be copied into the graph
                    copied = deepcopy(objects, attempt)
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

    def _share(
        self, owners: Mapping[str, Any], memo: Memo, skip: set[int], stand_in: Callable[[str, Any], Any]
    ) -> None:
        """Enter into the memo what copies share: data."""
        from torch.utils.data import DataLoader, Dataset

        for role, owner in owners.items():
            if role == "datamodule":
                others = {id(other) for other in owners.values() if other is not owner}
                share_data(owner, role, memo, skip | others, stand_in)
                continue
            detach_results(owner, memo)
            for name, value in vars(owner).items():
                if isinstance(value, Dataset | DataLoader):
                    share_data(value, f"{role}.{name}", memo, skip | {id(owner)}, stand_in)

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
