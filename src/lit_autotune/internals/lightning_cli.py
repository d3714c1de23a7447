"""What ``LightningCLI`` keeps to itself: its parsers by subcommand, and when it runs one.

Imported only where a LightningCLI is wanted; it needs ``lit-autotune[cli]``.
"""

import importlib
from typing import Any

from lit_autotune.internals.packages import imported_package, require

require("cli", "jsonargparse", "docstring_parser")
LightningCLI: Any = importlib.import_module(f"{imported_package()}.cli").LightningCLI


class OpenCLI(LightningCLI):  # type: ignore[misc]
    """A LightningCLI that more subcommands can be added to, and that leaves it to them what to run."""

    def copy_subcommand(self, name: str, template: str, summary: str, **kwargs: Any) -> None:
        """Add a subcommand that takes the arguments of another one, without a method of the Trainer's."""
        parser = self._prepare_subcommand_parser(self.trainer_class, template, description=summary, **kwargs)
        self._subcommand_parsers[name] = parser
        self.parser._subcommands_action.add_subcommand(name, parser, help=summary)

    def parser_for(self, subcommand: str | None) -> Any:
        """The parser of a subcommand, or of all without any."""
        return self._parser(subcommand)

    @property
    def own_config(self) -> Any:
        """The configuration of the subcommand that was given; it is what Lightning saves beside the run."""
        return self.config if self.subcommand is None else self.config[self.subcommand]

    def run_subcommand(self, name: str) -> None:
        """Run a subcommand with its hooks, such as ``before_fit``."""
        super()._run_subcommand(name)

    def _run_subcommand(self, subcommand: str) -> None:
        """Called by Lightning once all objects are made."""
        self.run_subcommand(subcommand)
