"""``AutotuneCLI``: a ``LightningCLI`` that can tune.

Imported only where it is wanted: it needs Lightning, and ``lit-autotune[cli]``.
"""

from pathlib import Path
from typing import Any

from lit_autotune._shared.text import Wording
from lit_autotune.config import TunerConfig
from lit_autotune.internals.lightning_cli import OpenCLI
from lit_autotune.report.console import Console
from lit_autotune.report.results import TuningReport
from lit_autotune.report.tables import show_kept
from lit_autotune.settings.config_values import ConfigValues, open_yaml
from lit_autotune.settings.layers import TunerSettings
from lit_autotune.settings.project import no_lines
from lit_autotune.settings.resume import goes_on
from lit_autotune.tuning.orchestrator import tune_in_words

SWITCHES = {"use_batch_size_tuning": True, "use_learning_rate_tuning": True}
SUMMARY = "Tunes batch size and learning rate, and trains nothing."


class AutotuneCLI(OpenCLI):
    """A ``LightningCLI`` with a subcommand ``tune`` and an option ``fit --tune true``.

    Settings are arguments such as ``--tuner.batch_size_max 64``, else those of the environment and of
    ``autotune.toml``.
    What was tuned is in the ``config.yaml`` that Lightning saves beside the run, so that it can be repeated from there.

    Attributes:
        report: What the last tuning found; ``None`` if nothing was tuned.
    """

    report: TuningReport | None = None

    def setup_parser(
        self, add_subcommands: bool, main_kwargs: dict[str, Any], subparser_kwargs: dict[str, Any]
    ) -> None:
        """Add our arguments to those of Lightning."""
        super().setup_parser(add_subcommands, main_kwargs, subparser_kwargs)
        if add_subcommands:
            self.copy_subcommand("tune", "fit", SUMMARY, **subparser_kwargs.get("fit", {}))
            self.parser_for("fit").add_argument("--tune", type=bool, default=False, help="Tune before the training.")
        for subcommand in ("fit", "tune") if add_subcommands else (None,):
            parser = self.parser_for(subcommand)
            parser.add_class_arguments(TunerConfig, "tuner", instantiate=False, skip={"options"})
            parser.set_defaults({f"tuner.{name}": value for name, value in SWITCHES.items()})
        if add_subcommands:
            text = "YAML file to write the values found into, under the keys they belong to; comments survive."
            self.parser_for("tune").add_argument("--write", type=Path | None, default=None, help=text)

    def instantiate_classes(self) -> None:
        """Make the objects. Our arguments leave the configuration before: any LightningCLI reads what is saved."""
        self._asked = {name: self.own_config.pop(name, None) for name in ("tuner", "tune", "write")}
        super().instantiate_classes()

    def tune(self) -> TuningReport:
        """Tune, and say how to keep the values found.

        Raises:
            AutotuneError: See :func:`lit_autotune.tune`.
        """
        target = self._asked["write"]
        if target and target.is_file():
            open_yaml(target, target.read_text(encoding="utf-8"))
        config = self._tuner_config()
        before = self.own_config.clone()
        report = tune_in_words(Wording(keep=no_lines), self.trainer, self.model, self.datamodule, config)
        values = ConfigValues(self, before, report)
        self.report = report = report.model_copy(update={"keep": tuple(values.lines())})
        if self.trainer.is_global_zero:
            show_kept(Console(config.verbose), report.keep)
            if target:
                values.pin(target, [Path(file) for file in self.own_config.get("config") or ()])
        return report

    def fit(self, **arguments: Any) -> None:
        """Train; called by Lightning after ``before_fit``."""
        if self._asked["tune"] and not goes_on(arguments.get("ckpt_path"), self.trainer, self._tuner_config()):
            self.tune()
        self.trainer.fit(**arguments)

    def run_subcommand(self, name: str) -> None:
        """Run a subcommand with its hooks, ours as well: ``before_tune``, ``after_tune``."""
        if name != "tune":
            super().run_subcommand(name)
            return
        for hook in ("before_tune", "tune", "after_tune"):
            getattr(self, hook, lambda: None)()

    def _tuner_config(self) -> TunerConfig:
        """What was asked for on our command line or in a YAML file; what has its default there other layers may set."""
        given = self._asked["tuner"] or {}
        defaults = dict(TunerConfig()) | SWITCHES
        keywords = {name: value for name, value in given.items() if value != defaults[name]}
        settings = TunerSettings.load(**keywords)
        silent = {name: True for name in SWITCHES if settings.sources[name] == "default"}
        return settings.config.model_copy(update=silent)
