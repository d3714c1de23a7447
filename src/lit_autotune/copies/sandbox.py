"""Throwaway copies of the user's Trainer, module and datamodule, and runs of them.

The user's own objects are never run and never changed.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from lit_autotune.copies.attributes import Setting, write
from lit_autotune.copies.copier import Copier
from lit_autotune.copies.process_state import unchanged_process
from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.strategies import detach, no_process_group
from lit_autotune.internals.trainers import kept, raise_if_terminated
from lit_autotune.memory.out_of_memory import is_out_of_memory

T = TypeVar("T")

NOTHING = contextlib.nullcontext()
"""The context that changes nothing."""


class SeenEnoughError(Exception):
    """Raised in a hook of a copy to end its run."""


@dataclass
class Copies:
    """One Trainer, module and datamodule to be used for one run; alone: without the other processes, if there are."""

    trainer: Any
    module: Any
    datamodule: Any
    alone: bool = False
    replaced: set[str] = field(default_factory=set)

    @property
    def owners(self) -> dict[str, Any]:
        """Module and datamodule by role."""
        return owners(self.module, self.datamodule)

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


class Sandbox:
    """Makes copies of the user's objects, and runs them.

    The first run prepares and sets up the data. Later copies start from what the objects were like right after
    that, so that data are read once and not once per trial.

    Args:
        trainer: The user's Trainer.
        module: The user's LightningModule.
        datamodule: The user's LightningDataModule, or ``None``.
        quiet: Whether to silence Lightning's own output.
    """

    def __init__(self, trainer: Any, module: Any, datamodule: Any, quiet: bool = True):
        self.trainer, self.quiet = trainer, quiet
        self._values: dict[Setting, Any] = {}
        self._remembered: dict[str, Any] = {}
        self.originals = owners(module, datamodule)
        self._templates = dict(self.originals)
        self._share_setup = True
        self._prepared: set[str] = set()
        self._set_up: set[tuple[str, str]] = set()
        self._waits = True
        self._written: dict[Setting, None] = {}
        self._copier = Copier(trainer)

    def set(self, setting: Setting, value: Any) -> None:
        """Write a value to all copies from now on: what a step has found."""
        self._values[setting] = value

    def remember(self, name: str, find_out: Callable[[], T]) -> T:
        """Something about the data that is found out once, for all copies."""
        if name not in self._remembered:
            self._remembered[name] = find_out()
        return cast(T, self._remembered[name])

    def repeat_setup(self) -> None:
        """From now on call ``setup`` for each copy: it uses a value that is being tuned."""
        self._share_setup = False
        self._templates = dict(self.originals)
        self._prepared.clear()
        self._set_up.clear()

    def run(
        self, copies: Copies, method: str = "fit", within: contextlib.AbstractContextManager[Any] = NOTHING
    ) -> None:
        """Call the Trainer's ``fit``, ``validate``, ``test`` or ``predict`` on copies, within a context.

        The user's exceptions come out as they are, Ctrl-C as ``KeyboardInterrupt``, SIGTERM as Lightning's
        ``SIGTERMException``. A dry run that has seen enough just ends.
        """
        arguments = {} if copies.datamodule is None else {"datamodule": copies.datamodule}
        arguments |= METHODS[method].silent if self.quiet else {}
        with unchanged_process(self.quiet), no_process_group() if copies.alone else NOTHING:
            try:
                with within:
                    getattr(copies.trainer, method)(copies.module, **arguments)
            except SeenEnoughError:
                pass
            except SystemExit as error:
                # Lightning turns Ctrl-C into sys.exit(1)
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from None
                raise
            finally:
                # Lightning only notes the signal, and acts on it if there is a next batch.
                raise_if_terminated(copies.trainer)

    def copies(self, values: Mapping[Setting, Any] | None = None, alone: bool = True) -> Copies:
        """Fresh copies, with the settings found so far and the given ones written to them.

        Args:
            values: What to write to them.
            alone: With several processes, run without the others. Otherwise all processes have to run it.
        """
        copies = self._deepcopy()
        if alone and self.trainer.world_size > 1:
            detach(copies.trainer, wait=self._waits)
            copies.alone, self._waits = True, False
        # What is set up once keeps the values that it was set up with; copies without a value get the user's back.
        self._written |= dict.fromkeys(values or {})
        present = {setting: setting.value for setting in self._written}
        for setting, value in {**present, **self._values, **(values or {})}.items():
            for place in setting.places:
                write(copies.owners, place, value)
        copies.wrap("configure_callbacks", lambda original: kept(_as_list(original())))
        for role, owner in copies.owners.items():
            copies.wrap("prepare_data", functools.partial(self._prepare_once, role), role)
            if self._share_setup and (overrides(owner, "setup") or overrides(owner, "prepare_data")):
                copies.wrap("setup", functools.partial(self._set_up_once, copies, role), role)
            if role == "datamodule":
                copies.wrap("on_exception", _tell_of_errors, role)
            # What setup opened is shared by all copies, so only the last one out may close it: see close().
            copies.wrap("teardown", lambda original, stage: None, role)
        return copies

    def __getstate__(self) -> dict[str, Any]:
        """For a sandbox in another process: it starts from what the objects are like now."""
        copies = self._deepcopy()
        parts = {
            "trainer": copies.trainer,
            "_copier": Copier(copies.trainer),
            "_templates": copies.owners,
            "originals": {},
        }
        return {**vars(self), **parts}

    def close(self) -> None:
        """Undo what ``setup`` did for the trials."""
        for role, stage in sorted(self._set_up):
            with unchanged_process(self.quiet):
                self._templates[role].teardown(stage)
        self._templates = dict(self.originals)
        self._set_up.clear()

    def _prepare_once(self, role: str, original: Callable[[], None]) -> None:
        if role not in self._prepared or not self._share_setup:
            original()
            self._prepared.add(role)

    def _set_up_once(self, copies: Copies, role: str, original: Callable[..., Any], stage: str) -> None:
        if (role, stage) in self._set_up:
            return
        original(stage)
        self._set_up.add((role, stage))
        others = {id(owner): self._templates[other] for other, owner in copies.owners.items() if other != role}
        template = self._copier.template(role, copies.owners[role], {id(copies.trainer): self.trainer, **others})
        for hook in copies.replaced & vars(template).keys():
            delattr(template, hook)
        self._templates[role] = template

    def _deepcopy(self) -> Copies:
        copied, templates = self._copier.copy(self._templates)
        for callback in copied.callbacks:
            callback.on_exception = functools.partial(_tell_of_errors, callback.on_exception)
        return Copies(copied, templates["module"], templates.get("datamodule"))


def _tell_of_errors(original: Callable[..., None], *arguments: Any) -> None:
    """Call the user's ``on_exception``, unless the exception is part of the tuning."""
    error = arguments[-1]
    if not isinstance(error, SeenEnoughError) and not is_out_of_memory(error):
        original(*arguments)


def overrides(owner: Any, hook: str) -> bool:
    """Whether the user's class has a hook of its own."""
    package = getattr(type(owner), hook).__module__.partition(".")[0]
    return package not in ("lightning", "pytorch_lightning")


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
