"""``autotune init``: write a commented configuration file."""

import argparse
import json
import textwrap
from pathlib import Path

from lit_autotune.cli import common
from lit_autotune.cli.flags import GROUPS
from lit_autotune.config import TunerConfig
from lit_autotune.errors import ConfigError
from lit_autotune.settings.layers import DEFAULT_FILE

HEAD = """\
# Configuration of lit-autotune. Tune only: `autotune tune`. Tune, then train: `autotune fit`.
# Commented lines show defaults, or an example where there is none.

[tuner_config]
"""

TAIL = """
[trainer_config]                        # arguments of the Lightning Trainer
max_epochs = 10

[module_config]
class_path = "train.py:Net"             # "file.py:Class" next to this file, or "package.module:Class"
# learning_rate = 1e-3                  # all other keys are arguments of the class

[datamodule_config]                     # leave out if the module brings its own loaders
class_path = "train.py:Data"
# batch_size = 32
"""


WIDTH = 100
"""Characters of a line of comment."""


def add_parser(commands: "common.Commands") -> None:
    """Add the subcommand."""
    parser = common.new_parser(commands, "init", "Write a commented configuration file.")
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_FILE, help="default: ./autotune.toml")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the file, never over another one."""
    try:
        with arguments.file.open("x", encoding="utf-8") as file:
            file.write(config_template())
    except FileExistsError:
        raise ConfigError(f"{arguments.file} exists already; delete it first, or name another file") from None
    except OSError as error:
        raise ConfigError(f"{arguments.file}: cannot be written: {error.strerror}") from error
    print(f"{arguments.file} written; point its class_path keys to your classes, then run 'autotune fit'")


def config_template() -> str:
    """A configuration file that says all there is to say, with both tunings on."""
    lines: list[str] = []
    for title, prefixes in (*GROUPS, ("steps of plugins", ("steps",))):
        lines += ["", f"# --- {title} ---"]
        for name, field in TunerConfig.model_fields.items():
            if not name.startswith(prefixes):
                continue
            text = (field.description or "").replace("`", "")
            lines += textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="#   ")
            switched_on = name.startswith("use_")
            default = field.get_default(call_default_factory=True)
            value = "true" if switched_on else json.dumps((field.examples or [None])[0] if default is None else default)
            lines.append(f"{'' if switched_on else '# '}{name} = {value}")
    return HEAD + "\n".join(lines) + "\n" + TAIL
