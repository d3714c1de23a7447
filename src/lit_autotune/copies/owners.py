"""The user's module and datamodule by role, and copies of them with a Trainer of their own."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lit_autotune.internals.packages import is_lightnings


def nothing() -> None:
    """Do nothing."""


@dataclass
class Copies:
    """One Trainer, module and datamodule to be used for one run; alone: without the other processes, if there are."""

    trainer: Any
    module: Any
    datamodule: Any
    alone: bool = False
    replaced: set[str] = field(default_factory=set)
    check_original: Callable[[], None] = nothing
    on_batch: Callable[[], None] = nothing

    @property
    def owners(self) -> dict[str, Any]:
        """Module and datamodule by role."""
        return owners(self.module, self.datamodule)

    @property
    def places(self) -> dict[str, Any]:
        """What settings are written to: module and datamodule, and the Trainer."""
        return {**self.owners, "trainer": self.trainer}

    def wrap(self, hook: str, wrapper: Callable[..., Any], role: str = "module") -> None:
        """Replace a hook of the copy by ``wrapper(original, *args)``."""
        owner = self.owners[role]
        original = getattr(owner, hook)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs)

        setattr(owner, hook, wrapped)
        self.replaced.add(hook)


def owners(module: Any, datamodule: Any) -> dict[str, Any]:
    """The user's objects by role."""
    return {"module": module} if datamodule is None else {"module": module, "datamodule": datamodule}


def overrides(owner: Any, hook: str) -> bool:
    """Whether the user's class has a hook of its own."""
    return not is_lightnings(getattr(type(owner), hook).__module__)
