"""A Hydra project, tuned and run as its YAML files say: composed and instantiated by Hydra itself."""

import logging
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_autotune.config import TunerConfig
from lit_autotune.copies.owners import overrides
from lit_autotune.errors import ConfigError
from lit_autotune.report.results import TuningReport
from lit_autotune.settings.hydra_files import Holding, holding, replace
from lit_autotune.settings.hydra_job import HydraJob, one_line
from lit_autotune.settings.hydra_keys import BASES, TARGET, USUAL, HydraKey, KeyFinder, find_sections
from lit_autotune.settings.project import YamlProject
from lit_autotune.tuning.config_keys import Key
from lit_autotune.tuning.keep import found
from lit_autotune.tuning.saved_config import results

LISTS = {"callbacks": ("callbacks",), "logger": ("logger", "loggers")}
"""Arguments of the Trainer that the template makes of tables beside it, and what these are called."""


class HydraProject(YamlProject):
    """What ``python train.py OVERRIDES`` of the lightning-hydra template, or one like it, would make and train.

    Args:
        config: The folder of the configuration and the name in it, ``configs/train``.
        overrides: As on Hydra's command line.
        tuner_config: What to tune.
        seed: In place of the configuration's ``seed``.
        max_epochs: In place of the Trainer's.
        checkpoint: In place of the configuration's ``ckpt_path``.
    """

    def __init__(
        self,
        config: Path,
        overrides: Sequence[str],
        tuner_config: TunerConfig,
        seed: int | None = None,
        max_epochs: int | None = None,
        checkpoint: str | None = None,
    ):
        super().__init__(tuner_config)
        self._job = HydraJob(config, overrides)
        if seed is not None:
            self._job.override(f"++seed={seed}")
        if checkpoint is not None:
            self._job.override(f"++ckpt_path={_quoted(checkpoint)}")
        self._max_epochs = max_epochs
        self._config: Any = None
        self._sections: dict[str, Key] = {}
        self._found: list[tuple[list[HydraKey], Sequence[str], float | None, float]] = []

    def setup_target(self) -> tuple[Any, Any, Any]:
        """Make ``(trainer, module, datamodule)``; the last is ``None`` if the configuration has none.

        Raises:
            ConfigError: If Hydra refuses the configuration, or it has no module or Trainer.
        """
        with self._job.active():
            self._config = self._job.config
            self._sections = self._known_sections()
            if self._max_epochs is not None:
                self._job.override(f"++{'.'.join(self._sections['trainer'])}.max_epochs={self._max_epochs}")
                self._config = self._job.config
            if self._config.get("seed") is not None:
                from lightning.fabric import seed_everything

                seed_everything(self._config.seed, workers=True, verbose=False)
            made = self._owners(self._config)
            if "datamodule" not in made and not overrides(made["module"], "train_dataloader"):
                raise self._missing("datamodule")
            trainer = self._instantiate(self._section(self._config, "trainer"), **self._lists())
        return trainer, made["module"], made.get("datamodule")

    def tune(self, trainer: Any, module: Any, datamodule: Any, **arguments: Any) -> None:
        """Tune if the settings ask for it and the training starts anew; the result is in :attr:`report`."""
        with self._job.active():
            super().tune(trainer, module, datamodule, **arguments)

    @property
    def checkpoint(self) -> Any:
        """The ``ckpt_path`` that the template hands to ``fit``."""
        return self._config.get("ckpt_path")

    def run(self, trainer: Any, module: Any, datamodule: Any) -> None:
        """Train, from the checkpoint if there is one."""
        with self._job.active():
            trainer.fit(module, datamodule=datamodule, ckpt_path=self.checkpoint)

    def lines(self, report: TuningReport) -> list[str]:
        """The overrides that keep the values, in one line, and what has no key."""
        finder = KeyFinder(self._config, self._sections, self._owners)
        olds = {one.places: one.old for one in results(report)}
        self._found = [
            (finder.find(places, olds[tuple(places)]), places, olds[tuple(places)], value)
            for places, value, _ in found(report)
        ]
        words = [key.override(value) for keys, _, _, value in self._found for key in keys]
        return [*([" ".join(words)] if words else []), *self._doubts()]

    def check_pin(self, path: Path) -> None:
        """Nothing is to be opened: the files that hold the values are known only when these are."""

    def pin(self, path: Path, report: TuningReport) -> list[str]:
        """Write each value where it stands in the project's own files; all else of these stays as it is.

        Returns:
            What was done for each value, in words.
        """
        with self._job.active():
            sources = self._job.sources()
        done = []
        for keys, _, old, value in self._found:
            for key in keys:
                place = None if key.is_new or self._is_overridden(key) else holding(sources, key.path, old)
                done.append(_written(key, place, old, value))
        return [*done, *self._doubts()]

    def _doubts(self) -> list[str]:
        return [
            f"# no key of the configuration is known for {', '.join(places)}; set it to {value:g} yourself"
            for keys, places, _, value in self._found
            if not keys
        ]

    def _is_overridden(self, key: HydraKey) -> bool:
        return any(word.lstrip("+~").partition("=")[0] == str(key) for word in self._job.overrides)

    def _known_sections(self) -> dict[str, Key]:
        """The keys of what is to be made; those of module and Trainer must be there."""
        sections: dict[str, Key] = self._from_hydra(find_sections, self._config, self._class)
        for role in ("module", "trainer"):
            if role not in sections:
                raise self._missing(role)
        return sections

    def _missing(self, role: str) -> ConfigError:
        has, usual = ", ".join(str(name) for name in self._config), USUAL[role][0]
        return self._job.error(f"nothing in it makes a {BASES[role]}: no {usual} with a {TARGET}; it has {has}")

    def _section(self, config: Any, role: str) -> Any:
        for name in self._sections[role]:
            config = config[name]
        return config

    def _owners(self, config: Any) -> Mapping[str, Any]:
        """Module and datamodule by role, in the order in which the template makes them."""
        roles = [role for role in ("datamodule", "module") if role in self._sections]
        return {role: self._instantiate(self._section(config, role)) for role in roles}

    def _lists(self) -> dict[str, list[Any]]:
        """Callbacks and loggers, as far as they are described beside the Trainer."""
        trainer = self._section(self._config, "trainer")
        lists = {}
        for argument, names in LISTS.items():
            tables = next((self._config[name] for name in names if self._config.get(name)), None)
            if tables is not None and not trainer.get(argument):
                nodes = [tables] if TARGET in tables else tables.values() if hasattr(tables, "values") else tables
                lists[argument] = [self._instantiate(node) for node in nodes if node and TARGET in node]
        return lists

    def _instantiate(self, node: Any, **arguments: Any) -> Any:
        from hydra.utils import instantiate

        return self._from_hydra(instantiate, node, **arguments)

    def _class(self, name: str) -> type | None:
        """The class that a ``_target_`` names; ``None`` if it names a function."""
        from hydra.utils import get_class

        logger = logging.getLogger("hydra.utils")  # says once more what the exception says
        before, logger.disabled = logger.disabled, True
        try:
            return self._from_hydra(get_class, name)  # type: ignore[no-any-return]
        except ValueError:
            return None
        finally:
            logger.disabled = before

    def _from_hydra(self, function: Any, *args: Any, **arguments: Any) -> Any:
        """What a function of Hydra's gives; what the user's own code raises in it comes out as it is.

        Raises:
            ConfigError: If Hydra, or the import system, refuses something.
        """
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        try:
            return function(*args, **arguments)
        except (HydraException, OmegaConfBaseException, ImportError) as error:
            cause: BaseException | None = error
            while cause is not None and not _is_users(cause):
                cause = cause.__cause__ or cause.__context__
            if cause is not None:
                raise cause from None
            raise self._job.error(one_line(error)) from error


def _is_users(error: BaseException) -> bool:
    """Whether an exception was raised by code that is neither Hydra's, Lightning's nor Python's import system's."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    raiser = str(frame.f_globals.get("__name__")).partition(".")[0]
    return raiser not in ("hydra", "omegaconf", "importlib", "lightning", "pytorch_lightning")


def _quoted(text: str) -> str:
    """A text as a value on Hydra's command line, whose grammar has a meaning for ``=`` and commas."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return f"'{escaped}'"


def _written(key: HydraKey, place: Holding | None, old: float | None, value: float) -> str:
    """Write a value to its place, if it has one, and say so."""
    append = f"append {key.override(value)} to the command line"
    if value == old:
        return f"{key} stays {value!r}{f' in {place}' if place else ''}"
    if place is None:
        return f"{key} stands in no file of its own; {append}"
    try:
        replace(place, value)
    except OSError as error:
        return f"{place} cannot be written: {error.strerror}; {append}"
    return f"{key} = {value!r} written to {place}"
