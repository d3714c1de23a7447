"""What the commands that need the user's objects share."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lit_autotune.errors import ConfigError

if TYPE_CHECKING:
    from lit_autotune.settings.experiment import ExperimentConfig
    from lit_autotune.settings.layers import TunerSettings


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """The module and the datamodule."""
    parser.usage = f"{parser.prog} [MODULE [DATAMODULE]] [--config FILE] [option ...]"
    parser.add_argument(
        "module",
        nargs="?",
        metavar="MODULE",
        help="LightningModule as pkg.mod:attr or path/to/file.py:attr: class, factory or instance",
    )
    parser.add_argument("datamodule", nargs="?", metavar="DATAMODULE", help="LightningDataModule, likewise")


def make_experiment(
    arguments: argparse.Namespace, settings: "TunerSettings", switched_on: dict[str, bool]
) -> "ExperimentConfig":
    """The experiment that targets and configuration file describe.

    Raises:
        ConfigError: If there is no module in it.
    """
    from lit_autotune.settings.experiment import ExperimentConfig

    tuner_config = settings.config.model_copy(update=switched_on)
    experiment = ExperimentConfig.from_document(settings.document, settings.path, tuner_config)
    for name in ("module", "datamodule"):
        if target := getattr(arguments, name):
            _point_to(experiment, f"{name}_config", target)
    if not experiment.module_config:
        raise ConfigError("nothing to tune: give a MODULE, or a config file with [module_config]; see --help")
    return experiment


@contextlib.contextmanager
def no_arguments() -> Iterator[None]:
    """While the user's code is imported and called: the arguments of the command are not meant for it.

    Raises:
        ConfigError: If it ends the program, as a parser does that misses arguments.
    """
    before = sys.argv
    sys.argv = before[:1]
    try:
        yield
    except SystemExit as error:
        raise ConfigError(
            f"your code ended the program with exit code {error.code} while it was imported or called; if it parses a "
            "command line, have it parse arguments of its own, such as LightningCLI(..., args=[...])"
        ) from error
    finally:
        sys.argv = before


def _point_to(experiment: "ExperimentConfig", table: str, target: str) -> None:
    """Use a target of the command line; the file's arguments stay only if they are not another class's."""
    path, colon, attribute = target.partition(":")
    if path.endswith(".py"):
        target = f"{Path(path).resolve()}{colon}{attribute}"  # relative to the shell's folder, not the config's
    arguments = getattr(experiment, table)
    setattr(experiment, table, {**({} if "class_path" in arguments else arguments), "class_path": target})
