"""Between which sizes the answer lies. Pure numbers, shared by the search strategies."""

from dataclasses import dataclass, field

from lit_autotune.search.memory_line import MemoryModel
from lit_autotune.types import BatchSizeTrial, SearchSpace

GROWTH = 4
"""At most so many times larger is the next size while memory's line is not proven."""

FLAT_GROWTH = 8
"""The same while memory has not grown: what so many samples more would take is lost in what the process has anyway."""

TOLERANCE = 0.04
"""A size is close enough to the limit if it is within this share of it."""

OPENING = (0.2, 0.6)
"""Where to begin, as shares of an estimate that may be wrong by half: far apart, both likely to fit."""


@dataclass
class Bracket:
    """The largest size known to fit and the smallest known not to.

    Attributes:
        space: What is searched.
        fits: The largest size that fits; 0 if none is known.
        limit: The smallest size that does not fit or is outside the space; ``None`` if unknown.
        failed: Whether a trial has set the limit.
        trials: The trials so far.
    """

    space: SearchSpace
    fits: int = 0
    limit: int | None = None
    failed: bool = False
    trials: list[BatchSizeTrial] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.space.max_val is not None:
            self.limit = self.space.max_val + 1

    def add(self, trial: BatchSizeTrial) -> None:
        """Narrow the bracket."""
        self.trials.append(trial)
        if trial.fits:
            self.fits = max(self.fits, trial.batch_size)
        elif trial.outcome == "cannot_be_used" and trial.batch_size < self.fits:
            pass  # too small a size, or a hole: no limit
        elif self.limit is None or trial.batch_size < self.limit:
            self.limit, self.failed = trial.batch_size, True

    @property
    def first(self) -> int:
        """Where to begin: below the estimate, or where the user said."""
        guess = self.space.first_guess
        return self.inside(OPENING[0] * guess if guess else self.space.init_val)

    @property
    def second(self) -> int | None:
        """Where to go from there for a line that leads to the limit; ``None`` later, or without an estimate."""
        guess = self.space.first_guess
        return self.inside(OPENING[1] * guess) if guess and self.fits and len(self.trials) == 1 else None

    def is_closed(self, tolerance: float = 0.0) -> bool:
        """Whether no size is left to try, or none that is larger by more than a share of the one that fits."""
        if self.limit is None:
            return False
        return self.limit - self.fits <= 1 + (tolerance * self.fits if self.failed else 0)

    @property
    def is_exact(self) -> bool:
        """Whether no size is left to try, or none of which the peaks could tell whether it fits."""
        model = self.model
        lost = model is not None and self.limit is not None and not model.tells_apart(self.fits, self.limit)
        return self.is_closed() or (lost and self.is_closed(TOLERANCE))

    @property
    def model(self) -> MemoryModel | None:
        """What the trials say about memory."""
        return MemoryModel.of(self.trials, self.space.budget, self.space.base)

    def inside(self, batch_size: float) -> int:
        """The nearest size that is still to be decided."""
        size = max(int(batch_size), self.fits + 1)
        return size if self.limit is None else min(size, self.limit - 1)

    @property
    def promised(self) -> int | None:
        """Where memory's line meets the budget; ``None`` if memory has not grown yet, or cannot be measured."""
        model = self.model
        return model.largest if model else None

    @property
    def leap(self) -> int | None:
        """How far the line can be followed; ``None`` if there is none, or something else sets the limit."""
        model = self.model
        if model is None or not self.fits:
            return None
        promised = model.largest
        is_flat = promised is None and len(model.points) > 1
        leap = max((FLAT_GROWTH if is_flat else GROWTH) * self.fits, model.certain)
        if promised is not None:
            leap = promised if model.sure else min(promised, leap)
        return None if self.failed and self.limit is not None and leap >= self.limit else leap

    @property
    def middle(self) -> int:
        """Where to look without a line: twice what fits, or the middle once something failed."""
        if self.limit is not None and self.failed:
            return (self.fits + self.limit) // 2
        return self.inside(2 * self.fits)
