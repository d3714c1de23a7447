"""Small helpers for messages."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import ValidationError


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'lr_min'?"`` if a known word is close to the given one, else an empty string."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an exception's message, its type's name if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:limit] if lines else type(error).__name__


class Problem(NamedTuple):
    """What is wrong with a value.

    Attributes:
        place: The field, dotted; empty if it is the whole record.
        value: What stands there.
        message: What is wrong with it.
    """

    place: str
    value: Any
    message: str

    def __str__(self) -> str:
        return f"{self.place} = {self.value!r}: {self.message}" if self.place else self.message


def first_problem(error: ValidationError) -> Problem:
    """The first of the problems that pydantic found, for a message of one line."""
    first = error.errors()[0]
    return Problem(".".join(map(str, first["loc"])), first["input"], first["msg"].removeprefix("Value error, "))
