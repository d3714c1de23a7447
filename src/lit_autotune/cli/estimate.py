"""``autotune estimate``: the batch size for memory that is not here."""

import argparse

from lit_autotune.cli import common
from lit_autotune.cli.flags import add_settings_options
from lit_autotune.cli.objects import add_target_options, make_experiment, no_arguments
from lit_autotune.errors import BatchSizeError


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "estimate",
        "Predict the largest batch size for memory that is not here. Nothing is trained, and nothing allocated.",
        "  autotune estimate train.py:Net train.py:Data --memory 24GiB --memory 80GiB\n"
        "  autotune estimate --config my.toml --memory 16GiB",
    )
    add_target_options(parser)
    parser.add_argument(
        "--memory",
        action="append",
        required=True,
        metavar="SIZE",
        help="memory of the device, e.g. 24GiB (may be repeated)",
    )
    add_settings_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print a table.

    Raises:
        BatchSizeError: If not even batch size 1 fits in any of the memories.
    """
    settings = common.load_settings(arguments)
    experiment = make_experiment(arguments, settings, {})
    from lit_autotune.estimate.estimate import estimate_batch_sizes
    from lit_autotune.report.console import Console
    from lit_autotune.report.tables import show_estimates

    with no_arguments():
        objects = experiment.setup_target()
    estimates = estimate_batch_sizes(*objects, memory=arguments.memory, config=experiment.tuner_config)
    show_estimates(Console(), estimates)
    if not any(estimate.batch_size for estimate in estimates):
        raise BatchSizeError("not even batch size 1 fits; use lower precision, a smaller model or more memory")
