"""``autotune tune``: tune only."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_autotune.cli import common
from lit_autotune.cli.objects import add_lightning_option, add_target_options, make_project, no_arguments
from lit_autotune.errors import ConfigError

if TYPE_CHECKING:
    from lit_autotune.report.results import TuningReport
    from lit_autotune.settings.experiment import ExperimentConfig
    from lit_autotune.settings.layers import TunerSettings
    from lit_autotune.settings.lightning_cli import LightningProject

SWITCHES = ("use_batch_size_tuning", "use_learning_rate_tuning")


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "tune",
        "Tune without training. Both tunings are on unless a setting says otherwise.",
        "  autotune tune train.py:Net train.py:Data --report report.json\n"
        "  autotune tune --config my.toml --no-use-batch-size-tuning --lr-num-training 200\n"
        "  autotune tune --config my.toml --write my.toml\n"
        "  autotune tune --lightning-config config.yaml --model.lr=0.1 --write config.yaml",
    )
    add_run_options(parser)
    parser.set_defaults(run=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Targets, output files and settings, for the commands that tune."""
    add_target_options(parser)
    parser.add_argument("--max-epochs", type=int, metavar="N", help="epochs of the training to come")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of Python, NumPy and torch")
    add_lightning_option(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--report", type=Path, metavar="FILE", help="write the whole result as JSON")
    output.add_argument("--html", type=Path, metavar="FILE", help="write the whole result as one web page")
    output.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="pin the values found in a TOML config and switch tuning off there; or in the YAML of a LightningCLI",
    )
    common.add_plugin_option(parser)
    common.add_settings_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Tune as all layers of settings say."""
    settings = common.load_settings(arguments)
    unset = {name: True for name in SWITCHES if settings.sources[name] == "default"}
    tune_experiment(arguments, settings, unset)


def tune_experiment(
    arguments: argparse.Namespace, settings: "TunerSettings", switched_on: dict[str, bool]
) -> tuple["ExperimentConfig | LightningProject", Any, Any, Any]:
    """Make the objects, tune, and write the output files.

    Returns:
        The experiment, and its Trainer, module and datamodule.

    Raises:
        ConfigError: If there is no module to tune, or an output file cannot be written.
    """
    registry = common.load_registry(arguments)
    from lit_autotune.settings.experiment import ExperimentConfig
    from lit_autotune.settings.pinning import open_document

    experiment = make_project(arguments, settings, switched_on)
    # Files are opened before the tuning: to find out afterwards that one cannot be written would be expensive.
    document = None
    if arguments.write and isinstance(experiment, ExperimentConfig):
        document = open_document(arguments.write, settings.path)
    elif arguments.write and not isinstance(experiment, ExperimentConfig):
        experiment.check_pin(arguments.write)
    files = {"--report": arguments.report, "--html": arguments.html, "--write": arguments.write}
    outputs = [(flag, path) for flag, path in files.items() if path]
    made = [path for _, path in outputs if not path.exists()]
    for flag, path in outputs:
        _make_writable(flag, path)
    with no_arguments():
        trainer, module, datamodule = experiment.setup_target()
    if arguments.max_epochs is not None:
        trainer.fit_loop.max_epochs = arguments.max_epochs
    try:
        experiment.tune(trainer, module, datamodule, registry=registry)
    except BaseException:
        if trainer.is_global_zero:
            _keep(arguments, settings, experiment.report, made)
        raise
    if experiment.report is not None and trainer.is_global_zero:
        _write_outputs(arguments, settings, experiment, document)
    return experiment, trainer, module, datamodule


def _keep(
    arguments: argparse.Namespace, settings: "TunerSettings", report: "TuningReport | None", made: list[Path]
) -> None:
    """Write the report of what was found before the tuning failed; values are pinned only if all were found."""
    kept = _write_reports(arguments, settings, report) if report is not None else []
    if kept:
        print(f"autotune: what was found before the error is kept in {' and '.join(kept)}", file=sys.stderr)
    elif report is not None:
        print("autotune: something was found before the error; --report FILE would keep it", file=sys.stderr)
    for path in made:
        if path.is_file() and not path.stat().st_size:
            path.unlink()


def _write_reports(arguments: argparse.Namespace, settings: "TunerSettings", report: "TuningReport") -> list[str]:
    """Write the report in the forms that are asked for; returns the names of the files."""
    if arguments.report:
        arguments.report.write_text(report.model_dump_json(indent=2), encoding="utf-8")
    if arguments.html:
        started = Path(sys.argv[0])
        is_ours = started.stem == "autotune" or started.parent.name == "lit_autotune"
        command = shlex.join(["autotune", *sys.argv[1:]]) if is_ours else None
        report.to_html(arguments.html, sources=settings.sources, command=command)
    return [str(path) for path in (arguments.report, arguments.html) if path]


def _write_outputs(
    arguments: argparse.Namespace,
    settings: "TunerSettings",
    experiment: "ExperimentConfig | LightningProject",
    document: Any,
) -> None:
    from lit_autotune.settings.experiment import ExperimentConfig
    from lit_autotune.settings.pinning import pin

    report = experiment.report
    assert report is not None
    for path in _write_reports(arguments, settings, report):
        print(f"report written to {path}")
    if arguments.write and isinstance(experiment, ExperimentConfig):
        pin(document, arguments.write, report)
        print(f"values pinned in {arguments.write}, tuning switched off there")
    elif arguments.write and not isinstance(experiment, ExperimentConfig):
        experiment.pin(arguments.write, report)
        print(f"values pinned in {arguments.write}")


def _make_writable(flag: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise ConfigError(f"{flag} {path}: cannot be written: {error.strerror}") from error
