"""The ``autotune`` command: one module for each subcommand.

No module here imports torch or Lightning before a command needs them, so that ``--help`` answers at once.

It imports ``_shared``, ``cache``, ``config``, ``curves``, ``errors``, ``estimate``, ``range_test``, ``registry``,
``report``, ``settings`` and ``tuning``.
"""
# PYTHON_ARGCOMPLETE_OK: argcomplete looks for this word before it lets the command complete itself

import argparse
import os
import select
import sys
from collections.abc import Sequence

from lit_autotune._version import __version__
from lit_autotune.cli import cache, config, estimate, fit, init, plugins, suggest, tune
from lit_autotune.cli.objects import for_lightning, unknown_to_all
from lit_autotune.cli.parser import Parser
from lit_autotune.errors import AutotuneError, ExitCode
from lit_autotune.tuning.tracebacks import fold

DESCRIPTION = """\
Find the batch size that fits in memory, then a learning rate that works,
for any PyTorch Lightning module, before training."""

EXAMPLES = """\
examples:
  autotune init                                     write a commented autotune.toml
  autotune fit                                      tune, then train, as autotune.toml says
  autotune tune train.py:Net train.py:Data          tune two classes, without any config
  autotune tune --config my.toml --write my.toml    tune once, keep the values
  autotune estimate train.py:Net --memory 24GiB     predict the batch size for a GPU that is not here
  autotune suggest report.json --suggester valley   read a saved curve in another way

exit codes:
  0 done   1 unexpected, or an error in your code   2 usage, config, target or name
  3 the tuning has no answer   4 a plugin failed   130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments, by default those of the process.

    Returns:
        An :class:`~lit_autotune.errors.ExitCode`. Exceptions of the user's own code come out with their traceback.
    """
    parser = Parser(
        prog="autotune",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lit-autotune {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (tune, fit, estimate, suggest, cache, plugins, config, init):
        command.add_parser(commands)
    _complete(parser)
    arguments, unknown = parser.parse_known_args(for_lightning(sys.argv[1:] if argv is None else argv))
    if wrong := unknown_to_all(unknown, arguments):
        arguments.parser.refuse(wrong)
    arguments.unknown = unknown
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except AutotuneError as error:
        print(f"autotune: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return ExitCode.UNEXPECTED
        if not getattr(arguments, "is_debug", False):
            fold(error)
        raise
    except SystemExit as error:
        # Lightning ends a fit that was stopped with Ctrl-C by sys.exit(1)
        if isinstance(error.__context__, KeyboardInterrupt):
            return _interrupted()
        raise
    return ExitCode.OK


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, if it is the one who calls, and end the program."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        sys.exit(1)  # the shell shows file names then
    argcomplete.autocomplete(parser, exit_method=sys.exit)


def _nobody_reads() -> bool:
    """Whether it is our own output that nobody reads any more, as after ``| head``; then the rest goes nowhere."""
    try:
        number, poll = sys.stdout.fileno(), select.poll()
    except (AttributeError, OSError, ValueError):  # Windows has no such pipes, and a test's output is none
        return False
    poll.register(number, 0)
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return True


def _interrupted() -> ExitCode:
    print("autotune: interrupted", file=sys.stderr)
    return ExitCode.INTERRUPTED
