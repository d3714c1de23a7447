"""Throwaway copies of the user's Trainer, module and datamodule, and runs of them.

The user's own objects are never run and never changed.
"""

import contextlib
import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lit_autotune.attributes import Setting, write
from lit_autotune.copier import Copier
from lit_autotune.distributed import detach, no_process_group
from lit_autotune.memory import is_out_of_memory
from lit_autotune.packages import trainer_package
from lit_autotune.process_state import unchanged_process
from lit_autotune.trainers import kept

SILENT = {
    "fit": {},
    "validate": {"verbose": False},
    "test": {"verbose": False},
    "predict": {"return_predictions": False},
}
"""Arguments with which the Trainer's methods print no tables and keep nothing."""


NOTHING = contextlib.nullcontext()
"""The context that changes nothing."""

SIGTERM_CODE = 143
"""What a shell says of a process that SIGTERM ended: 128 + 15."""


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
        self.values: dict[Setting, Any] = {}
        """Settings to write to all copies from now on: what earlier steps found."""
        self.longest: dict[str, list[int]] = {}
        """Samples by descending length, by loader: found out once, see ``worst_case``."""
        self.originals = owners(module, datamodule)
        self._templates = dict(self.originals)
        self._share_setup = True
        self._prepared: set[str] = set()
        self._set_up: set[tuple[str, str]] = set()
        self._waits = True
        self._written: dict[Setting, None] = {}
        self._copier = Copier(trainer)

    def repeat_setup(self) -> None:
        """From now on call ``setup`` for each copy: it uses a value that is being tuned."""
        self._share_setup = False
        self._templates = dict(self.originals)
        self._prepared.clear()
        self._set_up.clear()

    def run(self, made: Copies, method: str = "fit", within: contextlib.AbstractContextManager[Any] = NOTHING) -> None:
        """Call the Trainer's ``fit``, ``validate``, ``test`` or ``predict`` on copies, within a context.

        The user's exceptions come out as they are, Ctrl-C as ``KeyboardInterrupt``, SIGTERM as Lightning's
        ``SIGTERMException``. A look that has seen enough just ends.
        """
        arguments = {} if made.datamodule is None else {"datamodule": made.datamodule}
        arguments |= SILENT[method] if self.quiet else {}
        with unchanged_process(self.quiet), no_process_group() if made.alone else NOTHING:
            try:
                with within:
                    getattr(made.trainer, method)(made.module, **arguments)
            except SeenEnoughError:
                pass
            except SystemExit as error:
                # Lightning turns Ctrl-C into sys.exit(1)
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from None
                raise
            finally:
                # Lightning only notes the signal, and acts on it if there is a next batch.
                if made.trainer.received_sigterm:
                    package = trainer_package(made.trainer)
                    raise importlib.import_module(f"{package}.utilities.exceptions").SIGTERMException(SIGTERM_CODE)

    def copies(self, values: Mapping[Setting, Any] | None = None, alone: bool = True) -> Copies:
        """Fresh copies, with the settings found so far and the given ones written to them.

        Args:
            values: What to write to them.
            alone: With several processes, run without the others. Otherwise all processes have to run it.
        """
        made = self._deepcopy()
        if alone and self.trainer.world_size > 1:
            detach(made.trainer, wait=self._waits)
            made.alone, self._waits = True, False
        # What is set up once keeps the values that it was set up with; copies without a value get the user's back.
        self._written |= dict.fromkeys(values or {})
        present = {setting: setting.value for setting in self._written}
        for setting, value in {**present, **self.values, **(values or {})}.items():
            for place in setting.places:
                write(made.owners, place, value)
        made.wrap("configure_callbacks", lambda original: kept(_as_list(original())))
        for role, owner in made.owners.items():
            made.wrap("prepare_data", functools.partial(self._prepare_once, role), role)
            if self._share_setup and (overrides(owner, "setup") or overrides(owner, "prepare_data")):
                made.wrap("setup", functools.partial(self._set_up_once, made, role), role)
            if role == "datamodule":
                made.wrap("on_exception", _tell_of_errors, role)
            # What setup opened is shared by all copies, so only the last one out may close it: see close().
            made.wrap("teardown", lambda original, stage: None, role)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """For a sandbox in another process: it starts from what the objects are like now."""
        made = self._deepcopy()
        parts = {"trainer": made.trainer, "_copier": Copier(made.trainer), "_templates": made.owners, "originals": {}}
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

    def _set_up_once(self, made: Copies, role: str, original: Callable[..., Any], stage: str) -> None:
        if (role, stage) in self._set_up:
            return
        original(stage)
        self._set_up.add((role, stage))
        others = {id(owner): self._templates[other] for other, owner in made.owners.items() if other != role}
        template = self._copier.template(role, made.owners[role], {id(made.trainer): self.trainer, **others})
        for hook in made.replaced & vars(template).keys():
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
