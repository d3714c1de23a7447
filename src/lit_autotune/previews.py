"""Previews: the training to come, shortened, with some values or others, scored on the same held-out batches."""

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from lit_autotune.comparison import MOST_SHARE, Preview, preview_steps
from lit_autotune.curves import DivergenceMonitor
from lit_autotune.distributed import mean
from lit_autotune.errors import TuningError
from lit_autotune.held_out import (
    CHUNK,
    MOST_CHUNKS,
    SAMPLES,
    HeldOutLoss,
    sample_batches,
    sample_order,
    spread,
    validation_loaders,
)
from lit_autotune.loaders import rebuild
from lit_autotune.looks import Values, without_extras
from lit_autotune.memory import is_out_of_memory, release_memory
from lit_autotune.plan import TrainingPlan
from lit_autotune.process_state import random_state
from lit_autotune.sandbox import Copies, Sandbox, overrides
from lit_autotune.schedules import ShortenedSchedule
from lit_autotune.stepping import Stepper

CHECKED = (0.4, 0.6, 0.8, 0.9, 1.0)
"""Where in a preview the held-out batches are scored."""

LAST = 3
"""Scores that are averaged: a mean is less noisy than the last one."""

LOSSES = "training losses"
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
        judge: What is scored: ``"validation batches"``; ``"training batches"`` that are kept aside; or, where neither
            can be scored on their own, ``"training losses"``.
        most_samples: How many samples are known to fit in memory at a time; ``None`` if unknown.
    """

    def __init__(self, sandbox: Sandbox, optimizer_index: int | None = None):
        self._sandbox, self._optimizer_index = sandbox, optimizer_index
        objects = sandbox.originals
        has_validation = any(overrides(one, "val_dataloader") for one in objects.values())
        is_on = bool(sandbox.trainer.limit_val_batches) and overrides(objects["module"], "validation_step")
        self._validates = has_validation and is_on
        self.judge = "validation batches" if self._validates else "training batches"
        self.steps = 0
        self.most_samples: int | None = None
        self._samples = 0.0
        self._batches: list[Any] = []
        self._aside: frozenset[int] = frozenset()
        self._known: dict[Any, Preview] = {}
        self._before: list[float] = []

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
            size = min(CHUNK, self.most_samples or plan.batch_size or CHUNK)
            chunks = len(CHECKED) * min(SAMPLES / size, MOST_CHUNKS)
            scoring = SCORING * chunks * step_seconds * min(size / per_step, 2.0)
            self._samples = preview_steps(plan.steps, step_seconds, runs, budget, share, scoring, spent) * per_step
        return math.ceil(self._samples / per_step)

    def run(
        self,
        values: Values,
        plan: TrainingPlan,
        steps: int,
        rate_of: Callable[[int, int], float] | None = None,
        on_point: Callable[[float], None] = lambda loss: None,
    ) -> Preview:
        """Train with some values for some steps; a preview that is known already is not run again.

        Args:
            values: Batch size and learning rate, where they are kept.
            plan: The training that is previewed.
            steps: Optimizer steps.
            rate_of: The rate of each step and parameter group; by default what optimizer and schedulers make of it.
            on_point: Told of each training loss.

        Raises:
            ConfigError: If the held-out batches have no loss.
            TuningError: If the module never steps the optimizer.
        """
        key = (frozenset(values.items()), steps, rate_of and rate_of(0, 0))
        if key not in self._known:
            self._known[key] = self._unless_out_of_memory(lambda: self._run(values, plan, steps, rate_of, on_point))
        return self._known[key]

    def _unless_out_of_memory(self, run: Callable[[], Preview]) -> Preview:
        """What a run comes to; one without losses if memory runs out, so that its values are worse than any others.

        Not with several processes: the others would wait for this one for ever.
        """
        is_out = False
        try:
            return run()
        except Exception as error:
            is_out = self._sandbox.trainer.world_size == 1 and is_out_of_memory(error)
            if not is_out:
                raise
        release_memory()
        return Preview(losses=())

    def _run(
        self,
        values: Values,
        plan: TrainingPlan,
        steps: int,
        rate_of: Callable[[int, int], float] | None,
        on_point: Callable[[float], None],
    ) -> Preview:
        made = self._sandbox.copies(values, alone=False)
        without_extras(made)
        self._keep_aside(made)
        referee, losses, scores = DivergenceMonitor(max_missing=1), [], list[list[float]]()
        checks = {math.ceil(share * steps) for share in CHECKED}
        held_out: list[HeldOutLoss] = []

        def begin(original: Callable[[], None]) -> None:
            if scorer := self._scorer(made):
                held_out.append(scorer)
            original()

        def record(micro_losses: list[float]) -> bool:
            is_known = mean(made.trainer, float(bool(micro_losses))) > 0
            loss = mean(made.trainer, math.fsum(micro_losses) / len(micro_losses) if micro_losses else math.nan)
            losses.append(loss)
            on_point(loss)
            if held_out and len(losses) in checks:
                scores.append([mean(made.trainer, one) for one in held_out[0].losses()])
            is_lost = is_known and referee.update(loss) and not math.isnan(loss)
            return not is_lost and len(losses) < steps

        made.wrap("on_train_start", begin)
        schedule = None if rate_of else ShortenedSchedule(steps, plan.steps or steps, plan.epochs)
        stepper = Stepper(
            made,
            on_step=record,
            max_calls=10 * steps * made.trainer.accumulate_grad_batches,
            rate_of=rate_of,
            optimizer_index=self._optimizer_index,
            schedule=schedule,
        )
        self._sandbox.run(made)
        self.steps += len(losses)
        if not losses:
            raise TuningError(f"there was no optimizer step in {stepper.calls} batches; does training_step do one?")
        before = self._before
        if not held_out:
            before, scores = losses[:1], [_chunks(losses)]
        seconds = median(stepper.step_seconds) if stepper.step_seconds else 0.0
        return Preview(
            losses=tuple(losses),
            before=math.fsum(before) / len(before),
            course=tuple(math.fsum(one) / len(one) for one in scores),
            scores=_averaged(scores[-LAST:]) if len(losses) == steps else (),
            batch_seconds=mean(made.trainer, seconds),
        )

    def _scorer(self, made: Copies) -> HeldOutLoss | None:
        """What scores copies; ``None`` if only their training losses are there to judge by.

        At the start, when they are scored for the first time, all copies are the same.
        Hooks of the user's that work within a fit may not work outside of its loops. That is no fault of theirs.
        """
        if self.judge == LOSSES:
            return None
        with random_state():
            self._batches = self._batches or self._choose(made)
        scorer = HeldOutLoss(made, self._batches)
        try:
            self._before = self._before or [mean(made.trainer, loss) for loss in scorer.losses()]
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.judge = LOSSES
            return None
        return scorer

    def _keep_aside(self, made: Copies) -> None:
        """Without validation batches: have the copies not train on what they are scored on, where that can be done."""
        if not self._validates:
            for role in made.owners:
                made.wrap("train_dataloader", lambda original: self._without(original()), role)

    def _without(self, loader: Any) -> Any:
        from torch.utils.data import RandomSampler, SequentialSampler, SubsetRandomSampler

        order = sample_order(loader)
        kind = type(getattr(loader, "sampler", None))
        if kind not in (RandomSampler, SequentialSampler) or len(order) < 2:
            return loader
        if not self._aside:
            # At most a tenth of the data: more would make it another training.
            scored = spread(sorted(order))
            self._aside = frozenset(scored[:: max(1, 10 * len(scored) // len(order))])
        rest = [i for i in sorted(order) if i not in self._aside]
        return rebuild(loader, loader.batch_size, sampler=SubsetRandomSampler(rest) if kind is RandomSampler else rest)

    def _choose(self, made: Copies) -> list[Any]:
        if self._validates:
            batches = sample_batches(validation_loaders(made), self.most_samples)
            if batches:
                return batches
        loaders = made.trainer.fit_loop._data_source.dataloader()
        return sample_batches(loaders, self.most_samples, sorted(self._aside))


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
