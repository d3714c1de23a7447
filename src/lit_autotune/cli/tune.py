"""``autotune tune``: tune only."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_autotune.cli import common
from lit_autotune.cli.flags import add_settings_options
from lit_autotune.cli.objects import IN_PLACE, add_project_options, add_target_options, make_project, no_arguments
from lit_autotune.errors import ConfigError

if TYPE_CHECKING:
    from lit_autotune.report.results import TuningReport
    from lit_autotune.settings.layers import TunerSettings
    from lit_autotune.settings.project import Project

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
        "  autotune tune --lightning-config config.yaml --model.lr=0.1 --write config.yaml\n"
        "  autotune tune --hydra configs/train data=cifar model.optimizer.weight_decay=0.1 --write",
    )
    add_run_options(parser)
    parser.set_defaults(run=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Targets, output files and settings, for the commands that tune."""
    add_target_options(parser)
    parser.add_argument("--max-epochs", type=int, metavar="N", help="epochs of the training to come")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of Python, NumPy and torch")
    add_project_options(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--report", type=Path, metavar="FILE", help="write the whole result as JSON")
    output.add_argument("--html", type=Path, metavar="FILE", help="write the whole result as one web page")
    output.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=IN_PLACE,
        metavar="FILE",
        help="pin the values found in a TOML config and switch tuning off there; or in the YAML of a LightningCLI; "
        "with --hydra there is no FILE: they go where they stand in the project's own",
    )
    common.add_plugin_option(parser)
    add_settings_options(parser, dict.fromkeys(SWITCHES, True))


def run(arguments: argparse.Namespace) -> None:
    """Tune as all layers of settings say."""
    settings = common.load_settings(arguments)
    unset = {name: True for name in SWITCHES if settings.sources[name] == "default"}
    if not settings.config.model_copy(update=unset).asks_for_tuning:
        off = ", ".join(f"{name} = false ({settings.sources[name]})" for name in SWITCHES)
        print(f"nothing to tune: {off}, and no step is named")
        return
    tune_experiment(arguments, settings, unset)


def tune_experiment(
    arguments: argparse.Namespace, settings: "TunerSettings", switched_on: dict[str, bool]
) -> tuple["Project", Any, Any, Any]:
    """Make the objects, tune, and write the output files.

    Returns:
        The project, and its Trainer, module and datamodule.

    Raises:
        ConfigError: If there is no module to tune, or an output file cannot be written.
    """
    registry = common.load_registry(arguments)
    project = make_project(arguments, settings, switched_on)
    # Files are opened before the tuning: to find out afterwards that one cannot be written would be expensive.
    if arguments.write:
        project.check_pin(arguments.write)
    files = {"--report": arguments.report, "--html": arguments.html, "--write": arguments.write}
    for flag, path in files.items():
        if path not in (None, IN_PLACE):
            _check_writable(flag, path)
    with no_arguments():
        trainer, module, datamodule = project.setup_target()
    if arguments.max_epochs is not None:
        trainer.fit_loop.max_epochs = arguments.max_epochs
    try:
        project.tune(trainer, module, datamodule, registry=registry)
    except BaseException:
        if trainer.is_global_zero:
            _keep(arguments, settings, project.report)
        raise
    if project.report is not None and trainer.is_global_zero:
        _write_outputs(arguments, settings, project)
    return project, trainer, module, datamodule


def _keep(arguments: argparse.Namespace, settings: "TunerSettings", report: "TuningReport | None") -> None:
    """Write the report of what was found before the tuning failed; values are pinned only if all were found."""
    kept = _write_reports(arguments, settings, report) if report is not None else []
    if kept:
        print(f"autotune: what was found before the error is kept in {' and '.join(kept)}", file=sys.stderr)
    elif report is not None:
        print("autotune: something was found before the error; --report FILE would keep it", file=sys.stderr)


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


def _write_outputs(arguments: argparse.Namespace, settings: "TunerSettings", project: "Project") -> None:
    report = project.report
    assert report is not None
    for path in _write_reports(arguments, settings, report):
        print(f"report written to {path}")
    if arguments.write:
        for line in project.pin(arguments.write, report):
            print(line)


def _check_writable(flag: str, path: Path) -> None:
    """See that a file can be written; one that is only made for that is gone again, whatever ends the tuning."""
    is_new = not path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise ConfigError(f"{flag} {path}: cannot be written: {error.strerror}") from error
    if is_new:
        path.unlink()
