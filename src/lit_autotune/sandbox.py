"""Throwaway copies of the user's Trainer, module and datamodule, and runs of them.

The user's own objects are never run and never changed.
"""

import copy
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lit_autotune.attributes import Setting, write
from lit_autotune.copies import detach_results, share_data
from lit_autotune.errors import ConfigError
from lit_autotune.packages import trainer_package
from lit_autotune.process_state import unchanged_process

KEPT_CALLBACKS = {"WeightAveraging", "StochasticWeightAveraging", "GradientAccumulationScheduler", "BaseFinetuning"}
"""Callbacks that change what a step computes or how much memory it takes. All others only watch, and are dropped."""

DROPPED = object()
"""Stands in a copied Trainer for what an earlier fit left behind; the next fit overwrites it."""


@dataclass
class Copies:
    """One Trainer, module and datamodule to be used for one run."""

    trainer: Any
    module: Any
    datamodule: Any
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

    Raises:
        ConfigError: If the objects cannot be tuned.
    """

    def __init__(self, trainer: Any, module: Any, datamodule: Any, quiet: bool = True):
        self.trainer, self.quiet = trainer, quiet
        self.values: dict[Setting, Any] = {}
        """Settings to write to all copies from now on: what earlier steps found."""
        self.originals = owners(module, datamodule)
        self._templates = dict(self.originals)
        self._share_setup = True
        self._prepared: set[str] = set()
        self._set_up: set[tuple[str, str]] = set()
        if trainer.world_size > 1:
            raise ConfigError(
                f"Trainer with {trainer.world_size} devices: tuning on several devices is not supported yet; "
                "tune with devices=1, both values are per device"
            )

    def repeat_setup(self) -> None:
        """From now on call ``setup`` for each copy: it uses a value that is being tuned."""
        self._share_setup = False
        self._templates = dict(self.originals)
        self._prepared.clear()
        self._set_up.clear()

    def run(self, made: Copies, method: str = "fit") -> None:
        """Call the Trainer's ``fit``, ``validate``, ``test`` or ``predict`` on copies.

        The user's exceptions come out as they are, Ctrl-C as ``KeyboardInterrupt``.
        """
        with unchanged_process(self.quiet):
            try:
                arguments = {} if made.datamodule is None else {"datamodule": made.datamodule}
                getattr(made.trainer, method)(made.module, **arguments)
            except SystemExit as error:
                # Lightning turns Ctrl-C into sys.exit(1)
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from None
                raise

    def copies(self, values: Mapping[Setting, Any] | None = None) -> Copies:
        """Fresh copies, with the settings found so far and the given ones written to them."""
        made = self._deepcopy()
        for setting, value in {**self.values, **(values or {})}.items():
            for place in setting.places:
                write(made.owners, place, value)
        made.wrap("configure_callbacks", lambda original: _kept(_as_list(original())))
        for role, owner in made.owners.items():
            made.wrap("prepare_data", functools.partial(self._prepare_once, role), role)
            if self._share_setup and (_overrides(owner, "setup") or _overrides(owner, "prepare_data")):
                made.wrap("setup", functools.partial(self._set_up_once, made, role), role)
            # What setup opened is shared by all copies, so only the last one out may close it: see close().
            made.wrap("teardown", lambda original, stage: None, role)
        return made

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
        memo = {id(made.trainer): self.trainer}
        memo |= {id(owner): self._templates[other] for other, owner in made.owners.items() if other != role}
        owner = made.owners[role]
        self._prepare_memo({role: owner}, memo, skip={id(made.trainer)})
        template = copy.deepcopy(owner, memo)
        for hook in made.replaced & vars(template).keys():
            delattr(template, hook)
        self._templates[role] = template

    def _deepcopy(self) -> Copies:
        trainer = self.trainer
        memo = _stale_parts(trainer, self._templates)
        self._prepare_memo(self._templates, memo, skip={id(trainer)})
        package = trainer_package(trainer)
        callbacks: list[Any] = []
        memo[id(trainer.callbacks)] = callbacks
        memo[id(trainer.loggers)] = [_silent_logger(package, logger) for logger in trainer.loggers]
        memo[id(trainer.profiler)] = importlib.import_module(f"{package}.profilers").PassThroughProfiler()
        copied, templates = copy.deepcopy((trainer, self._templates), memo)
        callbacks.extend(copy.deepcopy(_kept(trainer.callbacks), memo))
        _renew_loops(trainer, copied)
        return Copies(copied, templates["module"], templates.get("datamodule"))

    @staticmethod
    def _prepare_memo(roles: Mapping[str, Any], memo: dict[int, Any], skip: set[int]) -> None:
        from torch.utils.data import DataLoader, Dataset

        for role, owner in roles.items():
            if role == "datamodule":
                share_data(owner, role, memo, skip | {id(other) for other in roles.values() if other is not owner})
                continue
            detach_results(owner, memo)
            for name, value in vars(owner).items():
                if isinstance(value, Dataset | DataLoader):
                    share_data(value, f"{role}.{name}", memo, skip | {id(owner)})


def _overrides(owner: Any, hook: str) -> bool:
    """Whether the user's class has a hook of its own."""
    package = getattr(type(owner), hook).__module__.partition(".")[0]
    return package not in ("lightning", "pytorch_lightning")


def _kept(callbacks: Iterable[Any]) -> list[Any]:
    return [callback for callback in callbacks if any(cls.__name__ in KEPT_CALLBACKS for cls in type(callback).__mro__)]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _stale_parts(trainer: Any, templates: Mapping[str, Any]) -> dict[int, Any]:
    """A memo that keeps what an earlier run left in the Trainer (loops, loaders, optimizers) from being copied."""
    memo: dict[int, Any] = {}
    for loop in (trainer.fit_loop, trainer.validate_loop, trainer.test_loop, trainer.predict_loop):
        memo[id(loop)] = DROPPED
    strategy = trainer.strategy
    for name in ("_optimizers", "_lightning_optimizers", "lr_scheduler_configs"):
        memo[id(getattr(strategy, name))] = []
    ours = {id(template) for template in templates.values()}
    for leftover in (strategy.model, strategy.lightning_module, trainer.datamodule):
        if leftover is not None and id(leftover) not in ours:
            memo[id(leftover)] = DROPPED
    return memo


def _renew_loops(trainer: Any, copied: Any) -> None:
    """Give a copied Trainer loops of its own that have not run yet, as ``Trainer.__init__`` makes them."""
    fit = trainer.fit_loop
    copied.fit_loop = type(fit)(copied, min_epochs=fit.min_epochs, max_epochs=fit.max_epochs)
    copied.fit_loop.epoch_loop = type(fit.epoch_loop)(copied, min_steps=fit.min_steps, max_steps=fit.max_steps)
    for name in ("validate_loop", "test_loop"):
        loop = getattr(trainer, name)
        renewed = type(loop)(copied, loop._trainer_fn, loop._stage, inference_mode=loop.inference_mode)
        setattr(copied, name, renewed)
    predict = trainer.predict_loop
    copied.predict_loop = type(predict)(copied, inference_mode=predict.inference_mode)


def _silent_logger(package: str, logger: Any) -> Any:
    """A logger that writes nothing but knows its folders, for modules that look at ``self.logger.log_dir``."""
    dummy = importlib.import_module(f"{package}.loggers.logger").DummyLogger
    # Looked up only when asked for: with some loggers that creates a run on a server.
    facts = {
        name: property(lambda self, name=name: getattr(logger, name))  # type: ignore[misc]
        for name in ("name", "version", "save_dir", "root_dir", "log_dir")
    }
    return type("SilentLogger", (dummy,), facts)()
