"""The points of an LR range test, and what a rule makes of them."""

import math
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from lit_autotune._shared.record import MaybeNaN, Record


class Curve(Record):
    """The points of an LR range test: one for each optimizer step.

    Attributes:
        learning_rates: The rate of each step, strictly increasing.
        losses: The raw training loss of each step, before the update with that step's rate; of several sweeps the
            median. NaN where the step had none.
        diverged: Whether the test was stopped because the loss exploded.
        monitor: Which loss it is, if not the training loss: ``lr_monitor``.
        repeats: The losses of each sweep, if there were several; shorter where one diverged.
    """

    learning_rates: tuple[float, ...]
    losses: tuple[MaybeNaN, ...]
    diverged: bool = False
    monitor: str | None = None
    repeats: tuple[tuple[MaybeNaN, ...], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Curve":
        rates = self.learning_rates
        if len(rates) != len(self.losses):
            raise ValueError(f"{len(rates)} learning rates but {len(self.losses)} losses")
        if any(not 0 < low < high for low, high in pairwise((*rates, math.inf))):
            raise ValueError("learning rates must be positive, finite and strictly increasing")
        if any(len(losses) > len(rates) for losses in self.repeats):
            raise ValueError("a repeat has more losses than there are learning rates")
        return self

    def finite(self) -> tuple[list[float], list[float]]:
        """The points whose loss is a finite number, as (learning rates, losses)."""
        points = [
            (rate, loss) for rate, loss in zip(self.learning_rates, self.losses, strict=True) if math.isfinite(loss)
        ]
        return [rate for rate, _ in points], [loss for _, loss in points]

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the points as two columns, ``learning_rate`` and ``loss``; a missing loss is ``nan``."""
        points = zip(self.learning_rates, self.losses, strict=True)
        lines = ["learning_rate,loss", *(f"{rate!r},{loss!r}" for rate, loss in points)]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


class LRSuggestion(Record):
    """What one suggester makes of a curve.

    Attributes:
        suggester: Name of the rule.
        value: The suggested learning rate, or ``None`` if the rule has no answer.
        quality: ``"good"``, or ``"doubtful"`` if the curve gives reason to distrust the value, or there is none.
        reasons: Why it is doubtful, and what to try.
    """

    suggester: str
    value: float | None = None
    quality: Literal["good", "doubtful"] = "good"
    reasons: tuple[str, ...] = ()
