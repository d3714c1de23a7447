"""``ExperimentConfig``: a whole experiment in one TOML file, tuned and run."""

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from lit_autotune._shared.problems import first_problem
from lit_autotune._shared.text import Wording, did_you_mean
from lit_autotune.config import TunerConfig
from lit_autotune.errors import ConfigError
from lit_autotune.internals.packages import PACKAGES, lightning_package
from lit_autotune.report.results import TuningReport
from lit_autotune.settings.layers import read_document, validate_tuner_config
from lit_autotune.settings.objects import CLASS_PATH, instantiate
from lit_autotune.settings.resume import goes_on

Stage = Literal["train", "validate", "test", "predict"]


class ExperimentConfig(BaseModel):
    """Trainer, module, datamodule and what to tune.

    In the three tables a key ``class_path`` names a class as ``"package.module:Class"`` or ``"path/to/file.py:Class"``
    (relative to the TOML file); all other keys are its arguments. Tables with a ``class_path`` inside them, such as
    loggers and callbacks, become instances, too.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    tuner_config: TunerConfig = Field(default_factory=TunerConfig, description="What to tune before training.")
    trainer_config: dict[str, Any] = Field(default_factory=dict, description="Arguments of the Trainer.")
    module_config: dict[str, Any] = Field(default_factory=dict, description="Class and arguments of the module.")
    datamodule_config: dict[str, Any] = Field(
        default_factory=dict, description="Class and arguments of the datamodule; none if the module has the loaders."
    )
    seed: int | None = Field(None, description="Seed of Python, NumPy and torch, set before anything is made.")
    test_after_training: bool = Field(False, description="Run `trainer.test` after a `train` stage.")
    ckpt_path: str | None = Field(
        None,
        description="Checkpoint to go on from. Nothing is tuned then: the optimizer's state and rates come from it.",
    )
    _folder: Path = PrivateAttr(Path())
    _file: Path | None = PrivateAttr(None)
    _report: TuningReport | None = PrivateAttr(None)
    _document: Any = PrivateAttr(None)

    @classmethod
    def from_toml(cls, path: str | Path) -> "ExperimentConfig":
        """Read a configuration file.

        Raises:
            ConfigError: If it is missing, broken, or has a value that is refused.
        """
        return cls.from_document(read_document(Path(path)), Path(path))

    @classmethod
    def from_document(
        cls, document: dict[str, Any], path: Path | None, tuner_config: TunerConfig | None = None
    ) -> "ExperimentConfig":
        """Make a config of a file's content, with another ``TunerConfig`` than the file's if one is given.

        Raises:
            ConfigError: If a value is refused.
        """
        values = dict(document)
        table = values.pop("tuner_config", {})
        if tuner_config is None:
            tuner_config = validate_tuner_config(table, dict.fromkeys(table, str(path)))
        try:
            config = cls.model_validate({**values, "tuner_config": tuner_config})
        except ValidationError as error:
            problem = first_problem(error)
            raise ConfigError(f"{path}: {problem}{did_you_mean(problem.place, cls.model_fields)}") from error
        config._folder, config._file = path.parent if path else Path(), path  # noqa: SLF001 - this class's own
        return config

    @property
    def report(self) -> TuningReport | None:
        """What the last tuning found, before it failed if it did; ``None`` if nothing was tuned."""
        return self._report

    def setup_target(self) -> tuple[Any, Any, Any]:
        """Make ``(trainer, module, datamodule)``; the last is ``None`` without ``[datamodule_config]``.

        Raises:
            TargetError: If a class cannot be found.
            ConfigError: If a class path is missing, or a class does not take an argument.
        """
        module_config = self._with_class_path("module_config", self.module_config)
        if self.seed is not None:
            self._seed()
        module = instantiate(module_config, self._folder, "module_config")
        datamodule = None
        if self.datamodule_config:
            table = self._with_class_path("datamodule_config", self.datamodule_config)
            datamodule = instantiate(table, self._folder, "datamodule_config")
        return self.setup_trainer(module), module, datamodule

    def setup_trainer(self, module: Any) -> Any:
        """Make the Trainer, of the package that the module's class comes from."""
        callbacks = self.trainer_config.get("callbacks")
        if isinstance(callbacks, dict) and "use_batch_size_finder" in callbacks:
            raise ConfigError(
                "[trainer_config.callbacks] use_batch_size_finder: write use_batch_size_tuning = true under "
                "[tuner_config]"
            )
        package = lightning_package(module, "LightningModule") or PACKAGES[0]
        table = {CLASS_PATH: f"{package}:Trainer", **self.trainer_config}
        return instantiate(table, self._folder, "trainer_config")

    def setup_target_and_run(self, stage: Stage = "train") -> Any:
        """Make all objects, tune if the config asks for it and the stage trains, then run the stage.

        Args:
            stage: ``"train"``, ``"validate"``, ``"test"`` or ``"predict"``.

        Returns:
            The Trainer.

        Raises:
            ConfigError: If the stage is unknown; see also :meth:`setup_target` and :func:`lit_autotune.tune`.
        """
        if stage not in get_args(Stage):
            raise ConfigError(f"unknown stage {stage!r}; known are {', '.join(get_args(Stage))}")
        trainer, module, datamodule = self.setup_target()
        if stage == "train":
            self.tune(trainer, module, datamodule)
        self.run(trainer, module, datamodule, stage)
        return trainer

    def run(self, trainer: Any, module: Any, datamodule: Any, stage: Stage = "train") -> None:
        """Run a stage, from the checkpoint if there is one, and the test after training if the config asks for it."""
        method = getattr(trainer, "fit" if stage == "train" else stage)
        method(module, datamodule=datamodule, ckpt_path=self.ckpt_path)
        if stage == "train" and self.test_after_training:
            trainer.test(module, datamodule=datamodule)

    def tune(self, trainer: Any, module: Any, datamodule: Any, **arguments: Any) -> None:
        """Tune if the config asks for it and the training starts anew; the result is in :attr:`report`."""
        from lit_autotune.tuning.orchestrator import tune_in_words

        config = self.tuner_config
        if goes_on(self.ckpt_path, trainer, config):
            return
        if config.asks_for_tuning:
            try:
                self._report = tune_in_words(Wording(keep=self.lines), trainer, module, datamodule, config, **arguments)
            except BaseException as error:
                self._report = getattr(error, "report", None)
                raise

    def lines(self, report: TuningReport) -> list[str]:
        """The lines of the TOML file that set what was found, and switch tuning off."""
        from lit_autotune.settings.pinning import toml_lines

        tables = {name: getattr(self, name) for name in ("module_config", "datamodule_config")}
        return toml_lines(tables, report)

    def check_pin(self, path: Path) -> None:
        """Open the TOML file to pin values in, before the tuning; it begins as a copy of the one that was read.

        Raises:
            ConfigError: If it is no TOML or cannot be read.
        """
        from lit_autotune.settings.pinning import open_document

        self._document = open_document(path, self._file)

    def pin(self, path: Path, report: TuningReport) -> list[str]:
        """Write the values into the file that :meth:`check_pin` opened, and switch tuning off there.

        Returns:
            What was done, in words.
        """
        from lit_autotune.settings.pinning import pin

        pin(self._document, path, report)
        return [f"values pinned in {path}, tuning switched off there"]

    def _with_class_path(self, name: str, table: dict[str, Any]) -> dict[str, Any]:
        if CLASS_PATH not in table:
            raise ConfigError(
                f'[{name}] needs {CLASS_PATH} = "package.module:Class"; or name the classes in the command: '
                "autotune fit MODULE DATAMODULE --config FILE"
            )
        return table

    def _seed(self) -> None:
        from lightning.fabric import seed_everything

        seed_everything(self.seed, workers=True, verbose=False)
