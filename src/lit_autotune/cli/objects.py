"""What the commands that need the user's objects share."""

import argparse
import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_autotune.errors import ConfigError

if TYPE_CHECKING:
    from lit_autotune.settings.experiment import ExperimentConfig
    from lit_autotune.settings.layers import TunerSettings
    from lit_autotune.settings.project import Project


IN_PLACE = Path()
"""What ``--write`` without a FILE stands for: the files that the values stand in."""

LIGHTNINGS = re.compile(r"--(model|data|trainer|optimizer|[\w-]+[._][\w.-]*)\+?")
"""Options of Lightning's parser; ``+`` appends to a list."""


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """The module, the datamodule and the Trainer."""
    parser.usage = f"{parser.prog} [MODULE [DATAMODULE [TRAINER]]] [--config FILE] [option ...]"
    parser.add_argument(
        "module",
        nargs="?",
        metavar="MODULE",
        help="LightningModule as pkg.mod:attr or path/to/file.py:attr: class, factory or instance; or a file alone, "
        "whose only module, datamodule and Trainer are taken",
    )
    parser.add_argument("datamodule", nargs="?", metavar="DATAMODULE", help="LightningDataModule, likewise")
    parser.add_argument(
        "trainer", nargs="?", metavar="TRAINER", help="Trainer, likewise (default: one that [trainer_config] describes)"
    )
    for option in FORMER:
        parser.add_argument(option, action=_Former, nargs="?", dest=argparse.SUPPRESS, help=argparse.SUPPRESS)


FORMER = {
    "--tune-batch-size": "--use-batch-size-tuning, which is on by default",
    "--tune-learning-rate": "--use-learning-rate-tuning, which is on by default",
    "--config_path": "--config",
}
"""Options of what this package replaces, and what to write instead."""


class _Former(argparse.Action):
    """Says what to write instead."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        parser.error(f"{option_string} is now {FORMER[option_string or '']}")


def add_project_options(parser: argparse.ArgumentParser) -> None:
    """The YAML files of a LightningCLI or Hydra project."""
    project = parser.add_mutually_exclusive_group()
    project.add_argument(
        "--lightning-config",
        action="append",
        type=Path,
        metavar="FILE",
        help="YAML file of a LightningCLI project (may be repeated; later ones are above earlier ones); further "
        "arguments such as --model.lr=0.1 go to Lightning's parser",
    )
    project.add_argument(
        "--hydra",
        type=Path,
        metavar="FOLDER/NAME",
        help="configuration of a Hydra project, such as configs/train; further words such as data.batch_size=64 are "
        "overrides for Hydra",
    )


def make_project(arguments: argparse.Namespace, settings: "TunerSettings", switched_on: dict[str, bool]) -> "Project":
    """What is to be tuned: a Hydra or LightningCLI project if its files are given, else an experiment.

    Raises:
        ConfigError: If there is no module in it, or what it needs is not installed.
    """
    tuner_config = settings.config.model_copy(update=switched_on)
    if arguments.hydra:
        from lit_autotune.settings.hydra_project import HydraProject

        own = (arguments.seed, arguments.max_epochs, _checkpoint(arguments))
        return HydraProject(arguments.hydra, _overrides(arguments), tuner_config, *own)
    if arguments.write == IN_PLACE:
        raise ConfigError("--write: add the FILE to write the values into")
    if arguments.lightning_config:
        from lit_autotune.settings.lightning_cli import LightningProject

        targets = (arguments.module, arguments.datamodule)
        words = [*arguments.unknown, *([f"--ckpt_path={checkpoint}"] if (checkpoint := _checkpoint(arguments)) else [])]
        return LightningProject(arguments.lightning_config, words, tuner_config, *targets)
    return make_experiment(arguments, settings, switched_on)


def _overrides(arguments: argparse.Namespace) -> list[str]:
    """All words of the command line that belong to no option; one may stand where ``--write`` has a FILE elsewhere."""
    words = [arguments.module, arguments.datamodule, arguments.trainer, *arguments.unknown]
    written = arguments.write
    if written not in (None, IN_PLACE):
        if "=" not in str(written) and not str(written).startswith("~"):
            raise ConfigError(f"--write {written}: takes no FILE with --hydra; values go into the project's own files")
        words.append(str(written))
        arguments.write = IN_PLACE
    return [word for word in words if word]


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
    for name, target in _targets(arguments).items():
        _point_to(experiment, f"{name}_config", target)
    if (seed := getattr(arguments, "seed", None)) is not None:
        experiment.seed = seed
    experiment.ckpt_path = _checkpoint(arguments) or experiment.ckpt_path
    if not experiment.module_config:
        raise ConfigError("nothing to tune: give a MODULE, or a config file with [module_config]; see --help")
    return experiment


def _checkpoint(arguments: argparse.Namespace) -> str | None:
    """What the training is to go on from, for the command that trains."""
    return getattr(arguments, "ckpt_path", None)


def _targets(arguments: argparse.Namespace) -> dict[str, str]:
    """The targets of the command line, by role; those that a file alone stands for included."""
    named = {name: getattr(arguments, name) for name in ("module", "datamodule", "trainer")}
    given = {name: target for name, target in named.items() if target}
    if given.get("module", "").endswith(".py"):
        from lit_autotune.settings.targets import find_targets

        with no_arguments():
            found = find_targets(given.pop("module"))
        given = {**found, **given}
        print(f"autotune: {', '.join(given.values())}", file=sys.stderr)
    return given


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


def for_lightning(argv: Sequence[str]) -> list[str]:
    """A command line in which arguments for Lightning's parser hold together, if there are YAML files for it.

    None of our options has a dot or an underscore. A ``--config`` that is YAML is one more of the files.
    """
    if not any(word.partition("=")[0] == "--lightning-config" for word in argv):
        return list(argv)
    words: list[str] = []
    for word in argv:
        before = words[-1] if words else ""
        if LIGHTNINGS.fullmatch(before) and not word.startswith("--"):
            words[-1] = f"{before}={word}"
        else:
            words.append(word)
    for i, word in enumerate(words):
        file = word.partition("=")[2] if "=" in word else words[i + 1] if i + 1 < len(words) else ""
        if word.partition("=")[0] == "--config" and file.endswith((".yaml", ".yml")):
            words[i] = word.replace("--config", "--lightning-config", 1)
    return words


def unknown_to_all(words: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """Arguments that neither we know nor, as far as that can be told, Lightning's parser or Hydra."""
    if getattr(arguments, "hydra", None):
        return [word for word in words if word.startswith("-")]
    is_lightning = bool(getattr(arguments, "lightning_config", None))
    return [word for word in words if not (is_lightning and LIGHTNINGS.fullmatch(word.partition("=")[0]))]
