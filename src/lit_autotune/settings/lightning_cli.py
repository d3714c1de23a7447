"""A LightningCLI project, tuned and run as its YAML files say: read by Lightning's own parser."""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_autotune._shared.import_string import load_target
from lit_autotune.config import TunerConfig
from lit_autotune.errors import ConfigError
from lit_autotune.internals.packages import require
from lit_autotune.report.results import TuningReport
from lit_autotune.settings.config_values import ConfigValues, open_yaml
from lit_autotune.settings.project import YamlProject

NOISE = (
    "Does not validate",
    "Subtypes:",
    "Errors:",
    "Expected a <class 'NoneType'>",
    "Expected a path",
    "Given value",
)
"""How lines of jsonargparse's errors begin that do not help."""


class LightningProject(YamlProject):
    """What ``python main.py fit --config FILE ...`` would make and train.

    Args:
        files: The YAML files, later ones above earlier ones.
        arguments: Further arguments for Lightning's parser, such as ``--model.lr=0.1``; above all files.
        tuner_config: What to tune.
        module: Import string of the module's class, where the files leave it to the project's script.
        datamodule: That of the datamodule's, likewise.
    """

    def __init__(
        self,
        files: Sequence[Path],
        arguments: Sequence[str],
        tuner_config: TunerConfig,
        module: str | None = None,
        datamodule: str | None = None,
    ):
        require("cli", "jsonargparse", "docstring_parser", "ruamel.yaml")
        super().__init__(tuner_config)
        self._files, self._arguments = list(files), list(arguments)
        self._classes = (module, datamodule)
        self._cli: Any = None
        self._made_of: Any = None
        self._values: ConfigValues | None = None

    def setup_target(self) -> tuple[Any, Any, Any]:
        """Make ``(trainer, module, datamodule)``; the last is ``None`` without ``data:``.

        Raises:
            ConfigError: If Lightning's parser refuses the files or the arguments.
        """
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))  # as with `python main.py`, whose neighbours are importable
        classes = [load_target(target) if target else None for target in self._classes]
        self._import_classes()
        from lit_autotune.internals.lightning_cli import OpenCLI

        class Project(OpenCLI):
            """Makes the objects of ``fit`` and runs nothing yet."""

            def _run_subcommand(self, subcommand: str) -> None:
                pass

        refusing = {"exit_on_error": False}
        try:
            self._cli = Project(*classes, args=self._command(), parser_kwargs={**refusing, "fit": refusing})
        except argparse.ArgumentError as error:
            raise ConfigError(f"{self._files[0]}: {_one_line(error)}{self._hint()}") from error
        self._made_of = self._cli.own_config.clone()  # the tuning changes what Lightning saves beside the run
        return self._cli.trainer, self._cli.model, self._cli.datamodule

    @property
    def checkpoint(self) -> Any:
        """The ``ckpt_path`` of ``fit``."""
        return self._cli.own_config.get("ckpt_path")

    def run(self, trainer: Any, module: Any, datamodule: Any) -> None:
        """Train, with the arguments of ``fit`` in the files, such as ``ckpt_path``."""
        self._cli.run_subcommand("fit")

    def lines(self, report: TuningReport) -> list[str]:
        """What the user appends to the command line to keep the values."""
        self._values = ConfigValues(self._cli, self._made_of, report)
        return self._values.lines()

    def check_pin(self, path: Path) -> None:
        """See before the tuning whether values can be written into a file.

        Raises:
            ConfigError: If it is there and is no YAML.
        """
        if path.is_file():
            open_yaml(path, path.read_text(encoding="utf-8"))

    def pin(self, path: Path, report: TuningReport) -> list[str]:
        """Write the values into a YAML file under their keys; comments survive.

        Returns:
            What was done, in words.

        Raises:
            ConfigError: If the file has no room for them.
        """
        if self._values:
            self._values.pin(path, [] if self._arguments and path not in self._files else self._files)
        return [f"values pinned in {path}"]

    def _command(self) -> list[str]:
        """The command line that says the same to the project's own script."""
        nested = [path for path in self._files if "fit" in _keys(path)]
        front = [f"--config={path}" for path in nested]
        return [*front, "fit", *(f"--config={path}" for path in self._files if path not in nested), *self._arguments]

    def _models(self) -> list[Any]:
        """What the files say of the module: its class alone, or a table."""
        tops = [_keys(path) for path in self._files]
        return [model for top in tops if (model := top.get("fit", top).get("model")) is not None]

    def _import_classes(self) -> None:
        """Import the module's class first: which of Lightning's two packages is meant is told by that."""
        for model in self._models():
            path = model.get("class_path") if isinstance(model, dict) else model
            if isinstance(path, str):
                with contextlib.suppress(ImportError, ValueError):  # Lightning's parser says what is wrong with it
                    importlib.import_module(path.rpartition(".")[0])

    def _hint(self) -> str:
        """What to do where the files leave the classes to the project's script."""
        models = self._models()
        if not models or any(self._classes) or any(isinstance(one, str) or "class_path" in one for one in models):
            return ""
        return "; if your script names the classes, name them here as well: MODULE DATAMODULE"


def _keys(path: Path) -> dict[str, Any]:
    """What is at the top of a YAML file; nothing if it is broken, which Lightning's parser says better."""
    with contextlib.suppress(OSError, UnicodeDecodeError, ConfigError):
        return dict(open_yaml(path, path.read_text(encoding="utf-8"))[1])
    return {}


def _one_line(error: Exception) -> str:
    """What jsonargparse says over many lines, without the alternatives that nobody meant."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    return " ".join(line for line in lines if not line.startswith(NOISE))
