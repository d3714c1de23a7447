"""A parser whose errors name what was probably meant."""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from lit_autotune._shared.text import did_you_mean


class Parser(argparse.ArgumentParser):
    """The parser of the command, and those of its subcommands."""

    def error(self, message: str) -> NoReturn:
        """End with code 2, usage and one line."""
        if match := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message):
            known = re.findall(r"[\w-]+", match[2])
            message = f"there is no command {match[1]!r}{did_you_mean(match[1], known) or '; it is one of ' + match[2]}"
        super().error(message)

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """End because of arguments that nobody knows."""
        known = re.findall(r"(?<!\w)--[\w-]+", self.format_help())
        flags = (word.partition("=")[0] for word in words if word.startswith("--"))
        close = next((hint for flag in flags if (hint := did_you_mean(flag, known))), "")
        self.error(f"unrecognized arguments: {' '.join(words)}{close}")
