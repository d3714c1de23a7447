"""The trials of a search: each size is run once, and an error of the user's own makes it one that cannot be used."""

import time
import traceback
from collections.abc import Callable

from lit_autotune._shared.sizes import format_size
from lit_autotune._shared.text import first_line
from lit_autotune.errors import TooLittleDataError, is_users_own
from lit_autotune.types import BatchSizeTrial, Measurement

CLIMB = 6
"""So often the size is doubled while none is large enough: 64 times as many samples are no longer too few."""

Probe = Callable[[int], Measurement | int | None]


def tried(probe: Probe, batch_size: int, budget: int | None) -> BatchSizeTrial:
    """The trial of a size.

    Args:
        probe: Tries it, see :func:`~lit_autotune.search.driver.search_batch_size`.
        batch_size: The size.
        budget: Memory that it may take, in bytes.

    Raises:
        Exception: The probe's own, but for those that say that the size does not fit, or that the data do not fill it.
    """
    start, outcome, message = time.perf_counter(), "fits", ""
    taken = Measurement(None)
    try:
        result = probe(batch_size)
        taken = result if isinstance(result, Measurement) else Measurement(result)
    except MemoryError as error:
        outcome, message = "out_of_memory", first_line(error)
    except TooLittleDataError as error:
        outcome, message = "too_little_data", first_line(error)
    if budget is not None and taken.peak_bytes is not None and taken.peak_bytes > budget:
        outcome = "over_budget"
        message = f"took {format_size(taken.peak_bytes)} of {format_size(budget)}"
    return BatchSizeTrial.model_validate(
        {
            "batch_size": batch_size,
            "outcome": outcome,
            "seconds": time.perf_counter() - start,
            "message": message,
            **taken._asdict(),
        }
    )


class Trials:
    """The sizes run so far; each is run at most once."""

    def __init__(
        self,
        probe: Probe,
        max_trials: int,
        max_val: int | None,
        budget: int | None,
        present: int | None,
        on_trial: Callable[[BatchSizeTrial], None],
    ):
        self.done: dict[int, BatchSizeTrial] = {}
        self.budget, self.max_val, self._present = budget, max_val, present
        self._probe, self._max_trials, self._on_trial = probe, max_trials, on_trial
        self._failure: Exception | None = None
        self._is_capped = False

    @property
    def fitting(self) -> list[int]:
        """The sizes that fit."""
        return [size for size, trial in self.done.items() if trial.fits]

    def run(self, batch_size: int) -> BatchSizeTrial | None:
        """The trial of a size, run if it was not; ``None`` if it would be one trial too many."""
        if batch_size in self.done:
            return self.done[batch_size]
        if len(self.done) >= self._max_trials:
            return None
        start = time.perf_counter()
        try:
            trial = tried(self._probe, batch_size, self.budget)
        except Exception as error:
            if not is_users_own(error):
                raise
            seconds, message = time.perf_counter() - start, f"{type(error).__name__}: {first_line(error)}"
            trial = BatchSizeTrial(batch_size=batch_size, outcome="cannot_be_used", seconds=seconds, message=message)
            self._failure = error
        self.done[batch_size] = trial
        self._on_trial(trial)
        if trial.outcome == "cannot_be_used":
            self._judge(batch_size)
        return trial

    def _judge(self, batch_size: int) -> None:
        """Go on after an error of the user's own if it is the size's; the present size tells.

        Raises:
            Exception: The user's own, if the present size has one, too.
        """
        if batch_size == self._present:
            self.fail()
        # The search goes on: what the frames of the error hold, copies of the module among them, has to go.
        error: BaseException | None = self._failure
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error = error.__context__
        if self._present is not None and (self.max_val is None or self._present <= self.max_val):
            self.run(self._present)

    def fail(self) -> None:
        """Raise the last error of the user's own, if there was one, and say with which sizes there were such errors."""
        failure, self._failure = self._failure, None
        if failure is None:
            return
        failed = [size for size, trial in self.done.items() if trial.outcome == "cannot_be_used"]
        sizes = ", ".join(f"{size} (the present one)" if size == self._present else str(size) for size in failed)
        failure.add_note(
            f"lit-autotune: raised by your own code in trials of a few steps, with batch size {sizes}; where only "
            "small sizes have it, start higher with batch_size_init_val"
        )
        try:
            raise failure
        finally:
            del failure  # it has this frame, and they would keep each other alive

    def larger(self, batch_size: int) -> int | None:
        """The smallest size that fits, after all smaller ones that were tried cannot be used; looked for if need be."""
        size = batch_size
        for _ in range(CLIMB):
            if self.fitting:
                break
            limits = [n for n, trial in self.done.items() if n > size and trial.outcome != "cannot_be_used"]
            limit = min(limits, default=None if self.max_val is None else self.max_val + 1)
            next_size = 2 * size if limit is None or 2 * size < limit else (size + limit) // 2
            trial = self.run(next_size) if next_size > size else None
            if trial is None:
                break
            if trial.outcome == "cannot_be_used":
                size = next_size
        return min(self.fitting, default=None)

    def below(self, batch_size: int) -> BatchSizeTrial | None:
        """The trial of the next smaller size, if that fits.

        Then the error is not one of all larger sizes: that of an epoch's last batch depends on the remainder.
        """
        if self._is_capped or batch_size - 1 <= max(self.fitting):
            return None
        trial = self.run(batch_size - 1)
        self._is_capped = trial is not None and not trial.fits
        return trial if trial and trial.fits else None
