"""Small helpers for messages."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'lr_min'?"`` if a known word is close to the given one, else an empty string."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an exception's message, its type's name if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:limit] if lines else type(error).__name__


@dataclass(frozen=True, slots=True)
class Wording:
    """Who speaks to the user, and what the settings are called there.

    Attributes:
        speaker: What the user called.
        names: What a field of ``TunerConfig`` is called there, where that is something else.
        keep: Gives the lines that set the values of a report in the form of the user's project; by default they are
            Python.
    """

    speaker: str = "TunerConfig::run_tuning"
    names: Mapping[str, str] = field(default_factory=dict)
    keep: Callable[[Any], list[str]] | None = None

    def __call__(self, text: str) -> str:
        """A message in these words. What is quoted, or part of a dotted place, is the user's and stays."""
        if not self.names:
            return text
        fields = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))
        return re.sub(rf"(?<![\w.'\"])({fields})(?!\w|\.\w)", lambda match: self.names[match[0]], text)

    def with_names(self, **names: str) -> "Wording":
        """The same, with some more names."""
        return replace(self, names={**self.names, **names})
