"""What a tuning step can have run, all of it on throwaway copies of the user's objects."""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lit_autotune.config import TunerConfig
from lit_autotune.copies.attributes import Setting, Values
from lit_autotune.copies.dry_run import DryRun, dry_run, training_plan
from lit_autotune.copies.ranks import fail_together, on_all_ranks
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError
from lit_autotune.memory.budget import Budget
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.planning.preview import Preview
from lit_autotune.previews.previews import Previews
from lit_autotune.range_test.sweeps import RangeTest, run_range_test
from lit_autotune.range_test.training import Training
from lit_autotune.registry.registry import Registry
from lit_autotune.report.console import Console
from lit_autotune.search.guarded import guarded
from lit_autotune.trials.agreement import agreed_budget
from lit_autotune.trials.search_plan import SearchPlan, plan_search
from lit_autotune.tuning.batch_sizes import search
from lit_autotune.tuning.training import OF_THE_STEP, TrainedSteps, train
from lit_autotune.types import BatchSizeStrategy, BatchSizeTrial

T = TypeVar("T")

OF_USERS_CODE = "lit_autotune_of_users_code"
"""Attribute of an exception that came out of the user's code."""


@dataclass
class OnCopies:
    """Runs trainings, trials, searches, range tests and previews for steps.

    With several processes all of them have to ask for the same, in the same order.

    Attributes:
        config: The settings in force.
        registry: The plugins in use.
        sandbox: Makes and fits throwaway copies, which have what earlier steps found. Not for steps.
        owners: The user's own module and datamodule by role. Only to be looked at.
        console: To tell the user what is going on: ``line``, ``warn``, ``debug``, ``progress``.
        plans: What the steps have prepared, by their names.
        results: What the steps that have run came to, by their names.
        step: Name of the step that is being run.
        started: When the tuning began, by ``time.perf_counter``.
    """

    config: TunerConfig
    registry: Registry
    sandbox: Sandbox
    owners: dict[str, Any]
    console: Console
    plans: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    started: float = field(default_factory=time.perf_counter)

    @functools.cached_property
    def previews(self) -> Previews:
        """All previews so far: how many ``steps`` they took, what their ``judge`` is, what ``length`` they may have."""
        return Previews(self.sandbox, self.config.lr_optimizer_index)

    @property
    def strategy(self) -> BatchSizeStrategy:
        """The batch-size strategy that the settings name, guarded."""
        return guarded(self.registry.strategy(self.config.batch_size_mode), self.registry)

    @property
    def ranks_fail_together(self) -> bool:
        """Whether a run that fails on one rank fails on all.

        Not if the processes of the user's own training do the work: the others would wait for one that has failed.
        """
        return fail_together(self.sandbox)

    def all_gather(self, value: T) -> list[T]:
        """What each process has, by rank; one item if there is a single process."""
        return on_all_ranks(self.sandbox.trainer, lambda: value)

    def memory_budget(self) -> Budget | None:
        """The memory that trials may take, on the device that has least; ``None`` if that is unknown."""
        return agreed_budget(self.sandbox, self.config.memory_budget, self.config.memory_margin)

    def look(self, values: Values | None = None, with_schedule: bool = False) -> DryRun:
        """Set a fit up on copies, up to its first batch: sizes of the batch, batches of an epoch, what loaders say.

        Args:
            values: What to write to the copies first.
            with_schedule: Go through the schedule of the learning rates instead of looking at the validation's loaders.
        """
        return self._users(
            lambda: dry_run(self.sandbox, values or {}, with_schedule=with_schedule, validates=not with_schedule)
        )

    def plan_training(self, seen: DryRun, batch_size: int | None = None) -> TrainingPlan:
        """The training to come, by a look at it: its epochs, steps and samples.

        Args:
            seen: The look.
            batch_size: The batch size that it had; that of its first batch if not given.
        """
        return training_plan(self.sandbox.trainer, seen, batch_size)

    def prove(self, setting: Setting, value: Any) -> None:
        """See that a setting has an effect: that with another value something else arrives.

        Raises:
            ConfigError: If nothing changes.
        """
        if self.look({setting: value}) == self.look():
            self.sandbox.repeat_setup()  # the loaders may be made there
            if self.look({setting: value}) == self.look():
                raise ConfigError(
                    f"{self.step}: changing {setting} changes nothing that arrives; let the loaders read it"
                )

    def train(
        self,
        steps: int,
        values: Values | None = None,
        after_backward: Callable[[Any], Any] | None = None,
        schedule_steps: int | None = None,
    ) -> TrainedSteps:
        """Train copies for some optimizer steps, from the user's present weights; nothing is validated.

        Args:
            steps: Optimizer steps. Data are cycled if an epoch has fewer.
            values: What to write to the copies first.
            after_backward: Called with the copied module after each backward pass, before the optimizer steps; what it
                returns is in the result.
            schedule_steps: Steps in which learning-rate schedulers go through the whole of their schedule; by default
                as many as the Trainer is to do.

        Raises:
            TuningError: If the module never steps the optimizer.
        """
        index = self.config.lr_optimizer_index
        return self._users(lambda: train(self.sandbox, steps, values or {}, after_backward, schedule_steps, index))

    def plan_search(self, setting: Setting) -> SearchPlan:
        """Find out what batch sizes the data can fill, and prove that the setting changes the batches that arrive.

        Raises:
            ConfigError: If it does not, or there is no batch with any size.
        """
        return self._users(lambda: plan_search(self.sandbox, setting, self.config))

    def search(
        self,
        plan: SearchPlan,
        budget: Budget | None,
        strategy: BatchSizeStrategy | None = None,
        on_trial: Callable[[BatchSizeTrial], None] = lambda trial: None,
    ) -> tuple[int, list[BatchSizeTrial]]:
        """Search for the largest batch size that fits in memory.

        Args:
            plan: What is known before the search.
            budget: The memory that trials may take; ``None``: sizes are tried until one fails.
            strategy: How to search; by default as the settings say.
            on_trial: Told of each trial as it ends.

        Returns:
            The size, which was run and fits, and all trials in the order they were run.

        Raises:
            BatchSizeError: If no size fits.
        """
        largest, trials = self._users(lambda: search(self, plan, budget, strategy or self.strategy, on_trial))
        self.previews.score_at_most(largest)
        return largest, trials

    def range_test(
        self, values: Values | None = None, scales: Sequence[float] = (), rates: Sequence[float] | None = None
    ) -> RangeTest:
        """Run an LR range test, as the settings say.

        Args:
            values: What to write to the copies first.
            scales: What to multiply a rate by for each parameter group; 1 if not given.
            rates: One sweep over these instead, to its end, of which nothing is printed.

        Returns:
            The curve, the optimizer steps it took, and the seconds of one of them.

        Raises:
            TuningError: If the module never steps the optimizer, or has no loss to show.
            ConfigError: If ``lr_monitor`` is not logged.
        """
        config = self.config
        training = Training(self.sandbox, values or {}, scales, config.lr_optimizer_index, config.lr_monitor)
        if rates is None:
            return self._users(lambda: run_range_test(training, config, self.console))
        curve = self._users(lambda: training.sweep(rates, threshold=None, patience=config.lr_num_training))
        return RangeTest(curve, training.steps, training.step_seconds)

    def preview(
        self,
        values: Values,
        steps: int,
        rate_of: Callable[[int, int], float] | None = None,
        on_point: Callable[[float], None] = lambda loss: None,
    ) -> Preview:
        """Preview the training to come, shortened and scored on held-out batches; the same one is not run again.

        Args:
            values: What to write to the copies first.
            steps: Optimizer steps.
            rate_of: The rate of each step and parameter group; by default what optimizer and schedulers make of it.
            on_point: Told of each training loss.

        Returns:
            Losses and scores; without scores if the training diverged or memory ran out.

        Raises:
            ConfigError: If the held-out batches have no loss.
            TuningError: If the module never steps the optimizer.
        """
        return self._users(lambda: self.previews.run(values, steps, rate_of, on_point))

    @staticmethod
    def is_out_of_memory(error: BaseException) -> bool:
        """Whether an exception means that memory ran out, on any device or on the host."""
        return is_out_of_memory(error)

    def is_of_users_code(self, error: BaseException) -> bool:
        """Whether an error came out of code of the user's that the step had run."""
        return OF_USERS_CODE in vars(error)

    def _users(self, run: Callable[[], T]) -> T:
        """Run the user's code on copies; mark what it raised, for that is no fault of the step's."""
        try:
            return run()
        except BaseException as error:
            # A mark, not a list, which would keep the error alive, and with its frames the workers of loaders.
            if OF_THE_STEP not in vars(error):
                vars(error)[OF_USERS_CODE] = True
            raise
