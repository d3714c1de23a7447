"""Previews: the training to come, shortened, with some values or others, scored on the same held-out batches."""

import functools
import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from lit_autotune.copies.attributes import Values
from lit_autotune.copies.dry_run import skip_validation
from lit_autotune.copies.owners import Copies
from lit_autotune.copies.ranks import fail_together, mean, step_loss
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.stepper import Stepper
from lit_autotune.curves.formulas import DivergenceMonitor
from lit_autotune.errors import TuningError
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.memory.release import release_memory
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.planning.preview import MOST_SHARE, Preview, preview_steps
from lit_autotune.previews.held_out import CHUNK, MOST_CHUNKS, SAMPLES, HeldOutLoss
from lit_autotune.previews.judge import Judge
from lit_autotune.trials.separate import separately

CHECKED = (0.4, 0.6, 0.8, 0.9, 1.0)
"""Where in a preview the held-out batches are scored."""

LAST = 3
"""Scores that are averaged: a mean is less noisy than the last one."""

PARTS = 8
"""Of the last losses, where they are what previews are judged by."""

SCORING = 0.4
"""Time that it takes to score samples, as a share of the time that it takes to train on them."""


class Previews:
    """Runs previews, all from the same start.

    Data, accumulation, clipping and precision are those of the training to come; its learning-rate schedule is gone
    through in the steps that there are. Nothing is validated but the held-out batches: validation batches where there
    are any, else training batches that are kept aside.

    Args:
        sandbox: Where to run them.
        optimizer_index: The optimizer whose steps count; the first if not given.

    Attributes:
        steps: Optimizer steps so far, of all previews.
        judge: What they are scored on.
    """

    def __init__(self, sandbox: Sandbox, optimizer_index: int | None = None):
        self._sandbox, self._optimizer_index = sandbox, optimizer_index
        self.judge = Judge(sandbox)
        self.steps = 0
        self._samples = 0.0
        self._known: dict[Any, Preview] = {}

    def score_at_most(self, samples: int) -> None:
        """Score no more samples at a time than are known to fit in memory."""
        self.judge.most_samples = samples

    def length(
        self,
        plan: TrainingPlan,
        step_seconds: float,
        runs: float,
        budget: float,
        share: float = MOST_SHARE,
        spent: float = 0.0,
    ) -> int:
        """Optimizer steps of a preview. All previews go through as many samples as the first that asks may have.

        Args:
            plan: The training that is previewed.
            step_seconds: Wall time of an optimizer step, in seconds.
            runs: How many previews there will be, as far as is known; dearer ones count for more.
            budget: ``TunerConfig.verify_budget``.
            share: The largest share of the training that a preview may go through.
            spent: What the tuning takes without previews, in seconds.

        Returns:
            The steps; 0 if there would be too few to tell anything.
        """
        per_step = plan.samples_per_step
        if not self._samples:
            size = min(CHUNK, self.judge.most_samples or plan.batch_size or CHUNK)
            chunks = len(CHECKED) * min(SAMPLES / size, MOST_CHUNKS)
            scoring = SCORING * chunks * step_seconds * min(size / per_step, 2.0)
            self._samples = preview_steps(plan.steps, step_seconds, runs, budget, share, scoring, spent) * per_step
        return math.ceil(self._samples / per_step)

    def run(
        self,
        values: Values,
        steps: int,
        rate_of: Callable[[int, int], float] | None = None,
        on_point: Callable[[float], None] = lambda loss: None,
    ) -> Preview:
        """Train with some values; see :meth:`lit_autotune.tuning.on_copies.OnCopies.preview`."""
        key = (frozenset(values.items()), steps, rate_of and rate_of(0, 0))
        if key not in self._known:
            self._known[key] = self._unless_out_of_memory(lambda: self._run(values, steps, rate_of, on_point))
        return self._known[key]

    def _unless_out_of_memory(self, run: Callable[[], Preview]) -> Preview:
        """What a run comes to; one without losses if memory runs out, so that its values are worse than any others.

        Not with several processes, unless others do the work: the others would wait for this one for ever.
        """
        try:
            return run()
        except Exception as error:
            if not (fail_together(self._sandbox) and is_out_of_memory(error)):
                raise
        release_memory()
        return Preview(losses=())

    def _run(
        self,
        values: Values,
        steps: int,
        rate_of: Callable[[int, int], float] | None,
        on_point: Callable[[float], None],
    ) -> Preview:
        work = functools.partial(self._trained_and_named, values, steps, rate_of, on_point)
        preview, self.judge.name = separately(self._sandbox, work, tell=on_point)
        self.steps += len(preview.losses)
        return preview

    def _trained_and_named(self, *args: Any) -> tuple[Preview, str]:
        return self._trained(*args), self.judge.name

    def _trained(
        self,
        values: Values,
        steps: int,
        rate_of: Callable[[int, int], float] | None,
        on_point: Callable[[float], None],
    ) -> Preview:
        copies = self._sandbox.copies(values, alone=False)
        skip_validation(copies)
        self.judge.prepare(copies)
        run = _Run(copies, self.judge, steps, on_point)
        copies.wrap("on_train_start", run.begin)
        stepper = Stepper(
            copies,
            on_step=run.record,
            max_calls=10 * steps * copies.trainer.accumulate_grad_batches,
            rate_of=rate_of,
            optimizer_index=self._optimizer_index,
            schedule_steps=None if rate_of else steps,
        )
        self._sandbox.run(copies)
        if not run.losses:
            raise TuningError(f"there was no optimizer step in {stepper.calls} batches; does training_step do one?")
        seconds = median(stepper.step_seconds) if stepper.step_seconds else 0.0
        return run.preview(mean(copies.trainer, seconds))


class _Run:
    """Follows one preview.

    Args:
        copies: What is trained.
        judge: What it is scored on.
        steps: Optimizer steps.
        on_point: Told of each training loss.

    Attributes:
        losses: The training loss of each step.
    """

    def __init__(self, copies: Copies, judge: Judge, steps: int, on_point: Callable[[float], None]):
        self._copies, self._judge, self._steps, self._on_point = copies, judge, steps, on_point
        self._checks = {math.ceil(share * steps) for share in CHECKED}
        self._divergence = DivergenceMonitor(max_missing=1)
        self._scorer: HeldOutLoss | None = None
        self._scores: list[list[float]] = []
        self.losses: list[float] = []

    def begin(self, original: Callable[[], None]) -> None:
        """Score the copies for the first time."""
        self._scorer = self._judge.scorer(self._copies)
        original()

    def record(self, micro_losses: list[float]) -> bool:
        """Take the losses of a step; says whether to go on."""
        trainer = self._copies.trainer
        loss, is_known = step_loss(trainer, micro_losses)
        self.losses.append(loss)
        self._on_point(loss)
        if self._scorer and len(self.losses) in self._checks:
            self._scores.append([mean(trainer, one) for one in self._scorer.losses()])
        is_lost = is_known and self._divergence.update(loss) and not math.isnan(loss)
        return not is_lost and len(self.losses) < self._steps

    def preview(self, batch_seconds: float) -> Preview:
        """What it came to."""
        before, scores = self._judge.before, self._scores
        if self._scorer is None:
            before, scores = self.losses[:1], [_chunks(self.losses)]
        return Preview(
            losses=tuple(self.losses),
            before=math.fsum(before) / len(before),
            course=tuple(math.fsum(one) / len(one) for one in scores),
            scores=_averaged(scores[-LAST:]) if len(self.losses) == self._steps else (),
            batch_seconds=batch_seconds,
        )


def _chunks(losses: Sequence[float]) -> list[float]:
    """The last quarter of the losses as the means of equal parts, as many for all previews."""
    last = losses[-max(len(losses) // 4, 1) :]
    parts = [
        last[i * len(last) // PARTS : max((i + 1) * len(last) // PARTS, i * len(last) // PARTS + 1)]
        for i in range(PARTS)
    ]
    return [math.fsum(part) / len(part) for part in parts]


def _averaged(scores: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean score of each batch; none if any is not finite."""
    means = tuple(math.fsum(column) / len(column) for column in zip(*scores, strict=True))
    return means if all(map(math.isfinite, means)) else ()
