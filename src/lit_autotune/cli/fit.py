"""``autotune fit``: tune, then train."""

import argparse

from lit_autotune.cli import common
from lit_autotune.cli.tune import SWITCHES, add_run_options, tune_experiment


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(
        commands,
        "fit",
        "Tune, then train. Without any setting about it both tunings are on.",
        "  autotune fit --config examples/digits/autotune.toml\n"
        "  autotune fit train.py:Net train.py:Data --batch-size-mode binsearch",
    )
    add_run_options(parser)
    parser.add_argument("--ckpt-path", metavar="FILE", help="checkpoint to go on from; nothing is tuned then")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Tune as the settings say, then train, and test if the config asks for it."""
    settings = common.load_settings(arguments)
    silent = all(settings.sources[name] == "default" for name in SWITCHES)
    project, *objects = tune_experiment(arguments, settings, dict.fromkeys(SWITCHES, True) if silent else {})
    project.run(*objects)
