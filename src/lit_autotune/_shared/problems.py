"""What pydantic finds wrong with a value, in plain words."""

import re
from typing import Any, NamedTuple

from pydantic import ValidationError

PLAIN = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "list_type": "a list",
    "dict_type": "a table",
    "path_type": "a path",
    "literal_error": "{expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
}
"""What a value must be, by pydantic's name for the fault."""

BRANCH = re.compile(r"(bool|int|float|str|path|list\[.*|dict\[.*|literal\[.*)$")
"""How pydantic names the alternatives of a union; they are no part of a place."""


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
    return all_problems(error)[0]


def all_problems(error: ValidationError) -> list[Problem]:
    """All of the problems that pydantic found, one for each place."""
    found: dict[str, tuple[Any, list[str], list[str]]] = {}
    for one in error.errors():
        place = ".".join(str(part) for i, part in enumerate(one["loc"]) if i == 0 or not BRANCH.match(str(part)))
        _, allowed, other = found.setdefault(place, (one["input"], [], []))
        if plain := PLAIN.get(one["type"]):
            allowed.append(plain.format(**one.get("ctx", {})))
        else:
            other.append(one["msg"].removeprefix("Value error, "))
    return [
        Problem(place, value, other[0] if other else f"must be {' or '.join(dict.fromkeys(allowed))}")
        for place, (value, allowed, other) in found.items()
    ]
