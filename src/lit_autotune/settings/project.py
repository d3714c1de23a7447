"""The face that all kinds of projects have for the commands, and what those of other tools' YAML files share."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

from lit_autotune._shared.text import Wording
from lit_autotune.config import TunerConfig
from lit_autotune.report.console import Console
from lit_autotune.report.results import TuningReport
from lit_autotune.report.tables import show_kept
from lit_autotune.settings.resume import goes_on


class Project(Protocol):
    """What can be tuned and trained, and keeps the values found in files of its own kind."""

    @property
    def report(self) -> TuningReport | None:
        """What the last tuning found, before it failed if it did; ``None`` if nothing was tuned."""

    def setup_target(self) -> tuple[Any, Any, Any]:
        """Make ``(trainer, module, datamodule)``."""

    def tune(self, trainer: Any, module: Any, datamodule: Any, **arguments: Any) -> None:
        """Tune if the settings ask for it and the training starts anew."""

    def run(self, trainer: Any, module: Any, datamodule: Any) -> None:
        """Train."""

    def check_pin(self, path: Path) -> None:
        """See before the tuning whether values can be written, and raise ``ConfigError`` if not."""

    def pin(self, path: Path, report: TuningReport) -> list[str]:
        """Write the values found; returns what was done, in words."""


class YamlProject(ABC):
    """A project that another tool makes of YAML files: its values are kept in that tool's words.

    Args:
        tuner_config: What to tune.

    Attributes:
        report: What the last tuning found, before it failed if it did; ``None`` if nothing was tuned.
    """

    def __init__(self, tuner_config: TunerConfig):
        self.report: TuningReport | None = None
        self._tuner_config = tuner_config

    @property
    @abstractmethod
    def checkpoint(self) -> Any:
        """The checkpoint that the training goes on from, if it does."""

    def tune(self, trainer: Any, module: Any, datamodule: Any, **arguments: Any) -> None:
        """Tune if the settings ask for it and the training starts anew; the result is in :attr:`report`."""
        from lit_autotune.tuning.orchestrator import tune_in_words

        config = self._tuner_config
        if goes_on(self.checkpoint, trainer, config):
            return
        if not config.asks_for_tuning:
            return
        try:
            report = tune_in_words(Wording(keep=no_lines), trainer, module, datamodule, config, **arguments)
        except BaseException as error:
            self.report = getattr(error, "report", None)
            raise
        self.report = report.model_copy(update={"keep": tuple(self.lines(report))})
        show_kept(Console(config.verbose and trainer.is_global_zero), self.report.keep)

    @abstractmethod
    def lines(self, report: TuningReport) -> list[str]:
        """What the user appends to the tool's command line to keep the values."""


def no_lines(report: TuningReport) -> list[str]:
    """For :class:`~lit_autotune._shared.text.Wording`: they are made later, of the configuration."""
    return []
