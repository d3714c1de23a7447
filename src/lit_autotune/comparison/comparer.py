"""Compares what the two tunings found with the present values."""

import math
import time
from typing import TYPE_CHECKING, Any

from lit_autotune.comparison.candidates import Candidate, verdict
from lit_autotune.comparison.preview_budget import compared_size, preview_length
from lit_autotune.comparison.rate_search import find_rate, preview_rate
from lit_autotune.copies.attributes import Setting
from lit_autotune.errors import LRSuggestionError
from lit_autotune.planning.preview import Preview, fall
from lit_autotune.planning.races import FACTOR
from lit_autotune.report.results import Comparison

if TYPE_CHECKING:
    from lit_autotune.comparison.rate_search import RatePlan
    from lit_autotune.planning.plan import TrainingPlan
    from lit_autotune.report.results import BatchSizeResult, LearningRateResult
    from lit_autotune.tuning.context import TuningContext


class Comparer:
    """Compares what the two tunings found with what was there before.

    Args:
        context: What the step works with.
    """

    def __init__(self, context: "TuningContext"):
        self._context = context
        self._size: BatchSizeResult | None = context.results.get("batch_size")
        self._rate: LearningRateResult | None = context.results.get("learning_rate")
        self._size_plan: Any = context.plans.get("batch_size")
        self._rate_plan: RatePlan | None = context.plans.get("learning_rate")
        self._found_steps = 0

    @property
    def _old_size(self) -> int | None:
        """The present batch size, if the one found is to be measured against it."""
        return compared_size(self._context)

    @property
    def _old_rate(self) -> float | None:
        """The present rate, if the one found is to be measured against it."""
        is_new = self._rate is not None and self._rate.applied
        return self._rate_plan.old if is_new and self._rate_plan else None

    def run(self) -> Comparison:
        """Preview the training with all candidates, and have the best ones applied."""
        console = self._context.console
        if self._old_size is None and self._old_rate is None:
            return Comparison(verdict=self._nothing_to_compare())
        console.banner("COMPARISON")
        start = time.perf_counter()
        before = self._context.previews.steps
        candidates = self._candidates()
        length = self._length(candidates)
        if not length:
            return Comparison(verdict=self._keep_unproven(candidates))
        best = self._judge(candidates, length)
        self._apply(best, candidates[-1].verdict)
        planned = candidates[0].plan.steps
        verdict = self._in_words(best, candidates)
        console.line(f"✓ {verdict}", "bold green")
        return Comparison(
            values=tuple(candidate.record for candidate in candidates),
            applied=best.name,
            judge=self._context.previews.judge.name,
            share=None if planned is None else min(1.0, length / planned),
            steps=self._context.previews.steps - before + self._found_steps,
            seconds=time.perf_counter() - start,
            verdict=verdict,
        )

    def _candidates(self) -> list[Candidate]:
        """The present values, then the present size with a rate of its own, then the new ones; what there is of them.

        A new rate has a lower one before it: it has to be better than that, because previews are won by rates that are
        too high for the whole training.
        """
        size, rate, old_size, old_rate = self._size, self._rate, self._old_size, self._old_rate
        training = self._context.as_applied((self._rate_plan or self._size_plan).training)
        new_size = size.chosen if size else None
        kept_size = old_size or new_size
        present = training.resized(kept_size) if kept_size else training
        new = training.resized(new_size) if new_size else training
        new_rate = rate.chosen if rate and rate.applied else None
        candidates = []
        if old_rate is not None or new_rate is None:
            candidates.append(Candidate("present", kept_size, old_rate, present))
        if new_rate is None:
            return [*candidates, Candidate("new size", new_size, None, new)]
        own, is_raced = (new_rate, bool(rate and rate.races)) if old_size is None else self._rate_for(old_size, present)
        if own is not None:
            if not is_raced and (old_rate is None or not own / FACTOR <= old_rate <= own):
                # Half-way to the present one, in the logarithm.
                lower = own / FACTOR if old_rate is None or old_rate > own else math.sqrt(own * old_rate)
                candidates.append(Candidate("lower rate", kept_size, lower, present))
            candidates.append(Candidate("new rate", kept_size, own, present))
        if old_size is not None:
            candidates.append(Candidate("new", new_size, new_rate, new))
        return candidates

    def _rate_for(self, old_size: int, plan: "TrainingPlan") -> tuple[float | None, bool]:
        """A rate for the present batch size, and whether races have verified it."""
        console = self._context.console
        console.line(f"Range test at the present batch size, {old_size}...")
        assert self._rate_plan is not None
        try:
            found = find_rate(self._context, self._rate_plan, {self._size_plan.setting: old_size}, plan)
        except LRSuggestionError as error:
            console.line(f"  no suggestion: {error}")
            return None, False
        self._found_steps = found.steps - sum(len(heat.losses) for heat in found.races)
        return found.rate, bool(found.races)

    def _length(self, candidates: list[Candidate]) -> int:
        """Steps of a preview with the new values."""
        return preview_length(self._context, candidates[-1].plan, self._step_seconds())

    def _step_seconds(self) -> float:
        """Wall time of an optimizer step with the new batch size, from the range test or else from the trial."""
        if self._rate is not None:
            return self._rate.step_seconds
        assert self._size is not None
        rates = [t.samples_per_second for t in self._size.trials if t.batch_size == self._size.chosen]
        return self._size_plan.training.accumulate_grad_batches * self._size.chosen / rates[0] if rates[0] else 0.0

    def _judge(self, candidates: list[Candidate], length: int) -> Candidate:
        """Preview all; each has to be better than the best before it, or as good and faster."""
        console, samples = self._context.console, length * candidates[-1].plan.samples_per_step
        seconds = sum(samples / candidate.plan.samples_per_step for candidate in candidates) * self._step_seconds()
        console.line(
            f"Trainings from the same start, {len(candidates)} of {samples:,} samples each, about {seconds:.0f} s..."
        )
        best = candidates[0]
        for place, candidate in enumerate(candidates):
            if candidate.rate and best.rate and candidate.size and best.size and candidate.size > best.size:
                # The best rate grows with the batch size, with Adam in proportion to its root. With more than that
                # small data are overfitted, which previews do not show.
                candidate.rate = min(candidate.rate, best.rate * math.sqrt(candidate.size / best.size))
            candidate.preview = self._preview(candidate, max(1, round(samples / candidate.plan.samples_per_step)))
            console.line(f"  {candidate.values}: {candidate.preview.outcome}")
            if place:
                scale = fall([one.preview for one in candidates[: place + 1]])
                candidate.verdict = verdict(candidate, best, scale, candidates[0])
                best = candidate if candidate.verdict in ("better", "as good and faster") else best
        return best

    def _preview(self, candidate: Candidate, steps: int) -> Preview:
        values: dict[Setting, Any] = {}
        if candidate.size is not None and self._size_plan is not None:
            values[self._size_plan.setting] = candidate.size
        if candidate.rate is None or self._rate_plan is None:
            return self._context.preview(values, steps)
        return preview_rate(self._context, self._rate_plan, values, candidate.rate, steps)

    def _apply(self, best: Candidate, new: str) -> None:
        """Have the best values written, and tell the results of the two steps, with the verdict on the new ones."""
        context, size, rate = self._context, self._size, self._rate
        if size is not None and best.size is not None and best.size != size.chosen:
            context.apply(self._size_plan.setting, best.size)
            reason = f"the present one; {size.chosen} is {new}"
            context.results["batch_size"] = size.model_copy(update={"chosen": best.size, "reason": reason})
        if rate is not None and best.rate is not None and best.rate != rate.chosen:
            assert self._rate_plan is not None
            assert self._rate_plan.setting is not None
            context.apply(self._rate_plan.setting, best.rate)
            update = {"chosen": best.rate, "applied": best.name != "present"}
            context.results["learning_rate"] = rate.model_copy(update=update)

    def _keep_unproven(self, candidates: list[Candidate]) -> str:
        """What to do where no preview is affordable: nothing that works is replaced without proof."""
        first = candidates[0]
        self._apply(first, "unproven")
        return (
            f"not compared: previews of enough steps would take too long; {first.values} "
            f"{'stays' if first.name == 'present' else 'is used'}; for proof raise verify_budget, to do without it set "
            "compare = false"
        )

    def _nothing_to_compare(self) -> str:
        size, rate = self._size, self._rate
        had = [one.old is not None for one in (size, rate) if one is not None]
        return "nothing to compare: the values are the present ones" if all(had) else "nothing to compare with"

    def _in_words(self, best: Candidate, candidates: list[Candidate]) -> str:
        """The result in one line."""
        if best is candidates[0]:
            stay = "The present values stay" if best.name == "present" else "The present batch size stays"
            return f"{stay}, {best.values}: {_listed(candidates[1:])}"
        why = f"{best.verdict} than the present values" if best.verdict == "better" else best.verdict
        size = next((c for c in candidates if c.size != best.size and c.name.startswith("new")), None)
        return f"{best.values}: {why}" + (
            f"; batch size {size.size} is {size.verdict}" if size and size.verdict else ""
        )


def _listed(candidates: list[Candidate]) -> str:
    return ", ".join(f"{candidate.name} is {candidate.verdict}" for candidate in candidates)
