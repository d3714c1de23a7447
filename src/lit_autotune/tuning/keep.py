"""The Python lines that set what a tuning found."""

from collections.abc import Mapping, Sequence
from typing import Any

from lit_autotune.copies.containers import get
from lit_autotune.report.results import TuningReport


def python_lines(owners: Mapping[str, Any], report: TuningReport) -> list[str]:
    """Assignments to ``module`` and ``datamodule``; a comment where no assignment does it."""
    lines = []
    for places, value, note in found(report):
        # The other places are copies of one: init arguments are kept under hparams, too.
        expressions = [_expression(owners, place.split(".")) for place in places]
        lines += [f"{one} = {value!r}{note}" for one in expressions if one is not None]
        if None in expressions:
            lines.append(f"# {places[0]}: {value!r}{note}")
    return lines


def found(report: TuningReport) -> list[tuple[Sequence[str], Any, str]]:
    """What a training without tuning has to be given: its places, the value, and what a number is meant for."""
    values: list[tuple[Sequence[str], Any, str]] = []
    if (size := report.batch_size) and size.places:
        values.append((size.places, size.chosen, ""))
    if (rate := report.learning_rate) and rate.places and (rate.applied or rate.chosen == rate.old):
        is_peak = rate.kind == "max_lr"
        values.append((rate.places, rate.chosen, "  # the peak itself, not to be multiplied" if is_peak else ""))
    return values + [(one.places, one.chosen, "") for one in report.others]


def _expression(owners: Mapping[str, Any], path: list[str]) -> str | None:
    """Python's expression for a place; ``None`` if it is kept where none leads to."""
    text, container = path[0], owners[path[0]]
    for name in path[1:]:
        try:
            inside = get(container, name)
        except LookupError:
            return None
        is_mapping = isinstance(container, Mapping)
        if getattr(container, name, None) is inside or (not is_mapping and hasattr(container, name)):
            text += f".{name}"
        elif is_mapping:
            text += f"[{name!r}]"
        else:
            return None
        container = inside
    return text
