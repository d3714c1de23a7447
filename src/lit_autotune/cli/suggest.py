"""``autotune suggest``: read a saved curve again, without training."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from lit_autotune._shared.problems import first_problem
from lit_autotune.cli import common
from lit_autotune.errors import ConfigError
from lit_autotune.report.results import LearningRateResult, TuningReport


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "suggest",
        "Apply suggestion rules to the curve of a saved report and redraw its plot, without training.",
        "  autotune suggest report.json\n  autotune suggest report.json --suggester valley --plot valley.png",
    )
    parser.add_argument("report", type=Path, help="what 'autotune tune --report FILE' wrote")
    parser.add_argument("--suggester", metavar="NAME", help="the rule to mark (default: the report's)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw it (default: REPORT_NAME.png)")
    common.add_plugin_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print every rule's answer and save the plot."""
    report, result = _read(arguments.report)
    registry = common.load_registry(arguments)
    name = arguments.suggester or result.suggester
    registry.suggester(name)
    from lit_autotune._shared.figures import save
    from lit_autotune.curves.plot import plot_lr_curve
    from lit_autotune.range_test.suggestions import pick, suggest_all

    suggestions = suggest_all(
        result.curve,
        registry.suggesters,
        report.config.options,
        lambda text: print(f"autotune: warning: {text}", file=sys.stderr),
        registry,
        chosen=name,
    )
    width = max(len(suggestion.suggester) for suggestion in suggestions)
    for suggestion in suggestions:
        is_chosen = suggestion.suggester == name
        answer = "-".ljust(8) if suggestion.value is None else f"{suggestion.value:.2e}"
        print(f"{'*' if is_chosen else ' '} {suggestion.suggester.ljust(width)}  {answer}  {suggestion.quality}")
        for reason in suggestion.reasons if is_chosen or suggestion.value is None else ():
            print(f"    {reason}")
    # Beside the report, and named after the rule: the plot of the tuning itself stays.
    path = arguments.plot or arguments.report.with_name(f"{arguments.report.stem}_{name}.png")
    try:
        config = report.config
        figure = plot_lr_curve(result.curve, suggestions, name, style=config.plot_style, rules=config.lr_plot_rules)
        print(f"plot saved to {save(figure, path)}")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--plot {path}: cannot be written: {error}") from error
    pick(suggestions, name)


def _read(path: Path) -> tuple[TuningReport, LearningRateResult]:
    try:
        report = TuningReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problem = first_problem(error)
        raise ConfigError(f"{path}: no report of lit-autotune: {problem.place}: {problem.message}") from error
    if report.learning_rate is None:
        raise ConfigError(f"{path}: the learning rate was not tuned, so there is no curve")
    return report, report.learning_rate
