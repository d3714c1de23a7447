"""Throwaway copies of the user's Trainer, module and datamodule, and runs of them: the user's own are never run."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from lit_autotune.copies import callbacks
from lit_autotune.copies.attributes import Setting, write
from lit_autotune.copies.copier import Copier
from lit_autotune.copies.guard import Guard, LeakError
from lit_autotune.copies.owners import Copies, nothing, overrides, owners
from lit_autotune.copies.process_state import outer_generators, unchanged_process
from lit_autotune.copies.ranks import Processes
from lit_autotune.errors import ConfigError
from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.strategies import detach, no_process_group
from lit_autotune.internals.trainers import raise_if_terminated
from lit_autotune.memory.out_of_memory import is_out_of_memory

T = TypeVar("T")

NOTHING = contextlib.nullcontext()


class Sandbox:
    """Makes copies of the user's objects, and runs them.

    The first run prepares and sets up the data. Later copies start from what the objects were like right after
    that, so that data are read once and not once per trial.

    After each run it is checked that the run has not reached the user's own module. Where it has (a function that the
    user keeps in a place of its own may still lead to it), copies are of no use: then :attr:`runs_originals` can be
    set in a copy of the process, see :mod:`lit_autotune.trials.forked`.

    Args:
        trainer: The user's Trainer.
        module: The user's LightningModule.
        datamodule: The user's LightningDataModule, or ``None``.
        quiet: Whether to silence Lightning's own output.

    Attributes:
        originals: Module and datamodule by role.
        runs_originals: Whether copies are the user's very objects, in a process that has them for itself.
        values: What is written to all copies.
        processes: Run the copies on all ranks; ``None`` if this process does.
        is_together: Whether copies always run with those of the other ranks.
        on_batch: Called with each batch of a run.
    """

    def __init__(self, trainer: Any, module: Any, datamodule: Any, quiet: bool = True):
        self.trainer, self.quiet = trainer, quiet
        self.values: dict[Setting, Any] = {}
        self.processes: Processes | None = None
        self.is_together = False
        self.on_batch = nothing
        self._remembered: dict[str, Any] = {}
        self.originals = owners(module, datamodule)
        self._templates = dict(self.originals)
        self._share_setup = True
        self._prepared: set[str] = set()
        self._set_up: set[tuple[str, str]] = set()
        self._waits = True
        self._written: dict[Setting, None] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="lit_autotune_", ignore_cleanup_errors=True)
        self._copier = Copier(trainer, Path(self._scratch.name))
        self._guard = Guard(module)
        self._generators = outer_generators(self.originals.values())
        self.runs_originals = False
        self._process = os.getpid()

    def set(self, setting: Setting, value: Any) -> None:
        """Write a value to all copies from now on: what a step has found."""
        self.values[setting] = value

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
        copies.check_original = self.check_original
        with (
            unchanged_process(self.quiet, self._generators),
            no_process_group() if copies.alone else NOTHING,
        ):
            try:
                with within:
                    getattr(copies.trainer, method)(copies.module, **arguments)
            except callbacks.SeenEnoughError:
                pass
            except SystemExit as error:
                # Lightning turns Ctrl-C into sys.exit(1)
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from None
                raise
            except Exception as error:
                self.check_original()
                if not is_out_of_memory(error):
                    callbacks.tell_left_out(error, self.trainer.callbacks)
                raise
            finally:
                # Lightning only notes the signal, and acts on it if there is a next batch.
                raise_if_terminated(copies.trainer)
        self.check_original()
        self._check_data()

    def check_original(self) -> None:
        """Put the user's own module back as it was if a run has reached it.

        Raises:
            LeakError: If it has.
        """
        if self._is_in_fork():
            return
        try:
            self._guard.check()
        except LeakError:
            if not self.runs_originals:
                raise

    def _is_in_fork(self) -> bool:
        return self.runs_originals and os.getpid() != self._process

    def _check_data(self) -> None:
        """Notice data that a run has changed.

        Raises:
            ConfigError: If they are the user's, and too large to be copied.
        """
        data = self._copier.data
        if name := data.changed():
            raise ConfigError(
                f"{name} is changed in place by setup() or a step, and is too large to be copied for trials; have them "
                "work on a copy, or free memory"
            )
        if data.is_kept and data.changes_between_runs():
            data.is_kept = False
            self.repeat_setup()

    def copies(self, values: Mapping[Setting, Any] | None = None, alone: bool = True) -> Copies:
        """Fresh copies, with the settings found so far and the given ones written to them.

        Args:
            values: What to write to them.
            alone: With several processes, run without the others. Otherwise all processes have to run it.
        """
        copies = self._deepcopy()
        copies.on_batch = self.on_batch
        if alone and self.trainer.world_size > 1 and not self.is_together:
            detach(copies.trainer, wait=self._waits)
            copies.alone, self._waits = True, False
        # What is set up once keeps the values that it was set up with; copies without a value get the user's back.
        self._written |= dict.fromkeys(values or {})
        present = {setting: setting.value for setting in self._written}
        for setting, value in {**present, **self.values, **(values or {})}.items():
            for place in setting.places:
                write(copies.places, place, value)
        copies.wrap("configure_callbacks", lambda original: self._prepared_callbacks(_listed(original())))
        for role, owner in copies.owners.items():
            copies.wrap("prepare_data", functools.partial(self._prepare_once, role), role)
            if self._share_setup and (overrides(owner, "setup") or overrides(owner, "prepare_data")):
                copies.wrap("setup", functools.partial(self._set_up_once, copies, role), role)
            if role == "datamodule":
                copies.wrap("on_exception", callbacks.tell_of_errors, role)
            # What setup opened is shared by all copies, so only the last one out may close it: see close().
            copies.wrap("teardown", lambda original, stage: None, role)
        return copies

    def __getstate__(self) -> dict[str, Any]:
        """For a sandbox in another process: it starts from what the objects are like now."""
        copies = self._deepcopy()
        parts = {
            "trainer": copies.trainer,
            "_copier": Copier(copies.trainer, Path(self._scratch.name)),
            "_templates": copies.owners,
            "originals": copies.owners,
            "processes": None,
            "_scratch": None,
            "_guard": Guard(None),
            "_generators": (),
            "runs_originals": False,
        }
        return {**vars(self), **parts}

    def close(self) -> None:
        """Undo what ``setup`` did for the trials."""
        if self.processes:
            self.processes.close()
        for role, stage in sorted(self._set_up):
            with unchanged_process(self.quiet):
                self._templates[role].teardown(stage)
        self._templates = dict(self.originals)
        self._set_up.clear()
        if self._scratch:
            self._scratch.cleanup()

    def _prepare_once(self, role: str, original: Callable[[], None]) -> None:
        if role not in self._prepared or not self._share_setup:
            original()
            self._prepared.add(role)

    def _set_up_once(self, copies: Copies, role: str, original: Callable[..., Any], stage: str) -> None:
        if (role, stage) in self._set_up:
            return
        original(stage)
        if role == "module" and callbacks.sets_up(copies.trainer.callbacks):
            return  # what they did to it would be done to copies of it once more
        self._set_up.add((role, stage))
        others = {id(owner): self._templates[other] for other, owner in copies.owners.items() if other != role}
        memo = {id(copies.trainer): self.trainer, id(self): self, **others}  # the hooks that are wrapped lead here
        template = self._copier.template(role, copies.owners[role], memo)
        for hook in copies.replaced & vars(template).keys():
            delattr(template, hook)
        self._templates[role] = template

    def _deepcopy(self) -> Copies:
        copied, templates = self._copier.copy(self._templates, themselves=self._is_in_fork())
        copied.callbacks[:] = self._prepared_callbacks(copied.callbacks)
        return Copies(copied, templates["module"], templates.get("datamodule"))

    def _prepared_callbacks(self, copied: list[Any]) -> list[Any]:
        in_a_fit = self.trainer.state.status == "running"
        return [callbacks.prepare(callback, in_a_fit) for callback in callbacks.to_copy(copied)]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
