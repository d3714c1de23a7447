"""What a tuning step works with, those of plugins and our own."""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lit_autotune._shared.figures import as_svg, save
from lit_autotune._shared.text import did_you_mean
from lit_autotune.config import TunerConfig
from lit_autotune.copies.attributes import (
    LEARNING_RATE_NAMES,
    Place,
    Setting,
    Values,
    find_batch_size,
    find_setting,
    read,
)
from lit_autotune.copies.containers import children
from lit_autotune.copies.dry_run import DryRun, dry_run
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError
from lit_autotune.previews.previews import Previews
from lit_autotune.registry.registry import Registry
from lit_autotune.report.console import Console
from lit_autotune.report.results import AppliedValue, StepFigure, StepTable
from lit_autotune.trials.search_plan import SearchPlan, plan_search
from lit_autotune.tuning.training import OF_THE_STEP, TrainedSteps, train
from lit_autotune.tuning.trying import try_one
from lit_autotune.types import BatchSizeTrial

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pydantic import BaseModel

T = TypeVar("T")


@dataclass
class TuningContext:
    """What a tuning step works with.

    Steps of plugins use the attributes and methods that the plugin guide lists; ``sandbox``, ``plans`` and ``previews``
    are for our own and may change.

    Attributes:
        config: The settings in force.
        registry: The plugins in use.
        sandbox: Makes and fits throwaway copies; they have what earlier steps found.
        owners: The user's own module and datamodule by role. Only to be looked at.
        console: To tell the user what is going on: ``line``, ``warn``, ``debug``, ``progress``.
        save_plot: Whether plots are wanted.
        changes: What will be written to the user's objects when all steps are done.
        applied: The same, with the step and the value before.
        plans: What the steps have prepared, by their names.
        results: What the steps that have run came to, by their names.
        step: Name of the step that is being run.
        options: Its options, validated; ``None`` if it has none.
        tables: Tables for console and report.
        figures: Figures for the report.
        started: When the tuning began, by ``time.perf_counter``.
    """

    config: TunerConfig
    registry: Registry
    sandbox: Sandbox
    owners: dict[str, Any]
    console: Console
    save_plot: bool = True
    changes: dict[Setting, Any] = field(default_factory=dict)
    applied: dict[Setting, AppliedValue] = field(default_factory=dict)
    plans: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    options: "BaseModel | None" = None
    tables: list[StepTable] = field(default_factory=list)
    figures: list[StepFigure] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    _of_users_code: list[BaseException] = field(default_factory=list)

    @functools.cached_property
    def previews(self) -> Previews:
        """Runs previews of the training to come, each once."""
        return Previews(self.sandbox, self.config.lr_optimizer_index)

    @functools.cached_property
    def _search_plan(self) -> SearchPlan:
        plan = self.plans.get("batch_size")
        return plan if plan is not None else plan_search(self.sandbox, self.find_batch_size(), self.config)

    @property
    def trainer(self) -> Any:
        """The user's Trainer. Only to be looked at."""
        return self.sandbox.trainer

    @property
    def module(self) -> Any:
        """The user's module. Only to be looked at."""
        return self.owners["module"]

    @property
    def datamodule(self) -> Any:
        """The user's datamodule, ``None`` if there is none. Only to be looked at."""
        return self.owners.get("datamodule")

    @property
    def places(self) -> dict[str, Any]:
        """What settings are written to: module and datamodule, and the Trainer."""
        return {**self.owners, "trainer": self.trainer}

    def setting(self, place: str) -> Setting:
        """A setting by its place, such as ``datamodule.num_workers`` or ``trainer.accumulate_grad_batches``.

        Raises:
            ConfigError: If there is no such place.
        """
        owner, *path = place.split(".")
        found = Place(owner, tuple(path))
        if owner not in self.places or not path:
            known = ", ".join(self.places)
            raise ConfigError(
                f"{self.step}: {place!r} is no place; it begins with one of {known} and names an attribute"
            )
        try:
            return Setting((found,), read(self.places, found))
        except LookupError:
            names = children(self.places[owner]) if len(path) == 1 else ()
            raise ConfigError(f"{self.step}: there is no {place}{did_you_mean(path[-1], names)}") from None

    def find_batch_size(self) -> Setting:
        """Where the batch size is kept.

        Raises:
            ConfigError: If that is unknown, or places disagree.
        """
        return find_batch_size(self.owners, self.config.batch_size_attribute)

    def find_learning_rate(self) -> Setting:
        """Where the learning rate is kept.

        Raises:
            ConfigError: If that is unknown, or places disagree.
        """
        return find_setting({"module": self.module}, LEARNING_RATE_NAMES, self.config.lr_attribute, "lr_attribute")

    def look(self, values: Values | None = None) -> DryRun:
        """Set a fit up on copies, up to its first batch: sizes of the batch, batches of an epoch, what loaders say.

        Args:
            values: What to write to the copies first.
        """
        return self._users(lambda: dry_run(self.sandbox, values or {}, validates=True))

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
        self, steps: int, values: Values | None = None, after_backward: Callable[[Any], Any] | None = None
    ) -> TrainedSteps:
        """Train copies for some optimizer steps, from the user's present weights; nothing is validated.

        Args:
            steps: Optimizer steps. Data are cycled if an epoch has fewer.
            values: What to write to the copies first.
            after_backward: Called with the copied module after each backward pass, before the optimizer steps; what it
                returns is in the result.

        Raises:
            TuningError: If the module never steps the optimizer.
        """
        return self._users(lambda: train(self.sandbox, steps, values or {}, after_backward))

    def trial(self, batch_size: int) -> BatchSizeTrial:
        """Try a batch size as the search does; one that was tried already is not run again.

        Returns:
            The trial: whether the size fits, the memory that it took, how quick it was.
        """
        search = self.results.get("batch_size")
        for trial in search.trials if search else ():
            if trial.batch_size == batch_size:
                return trial  # type: ignore[no-any-return]
        plan = self.plans.get("batch_size")
        return self._users(
            lambda: try_one(self.sandbox, plan or self._search_plan, batch_size, self.config, self.console)
        )

    def apply(self, setting: Setting, value: Any) -> None:
        """Have a value written to the user's objects at the end, and to all copies from now on."""
        self.changes[setting] = value
        places = tuple(map(str, setting.places))
        self.applied[setting] = AppliedValue(step=self.step, places=places, old=setting.value, chosen=value)
        self.sandbox.set(setting, value)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> None:
        """Add a table to what is printed at the end, and to the report."""
        cells = tuple(tuple(row) for row in rows)
        self.tables.append(StepTable(step=self.step, title=title, columns=tuple(columns), rows=cells))

    def figure(self, title: str, figure: "Figure") -> None:
        """Add a figure to the report; it is saved as ``.logs/STEP.png``, too, if plots are wanted."""
        number = sum(one.step == self.step for one in self.figures)
        name = f"{self.step}{number + 1 if number else ''}".replace("-", "_")
        path = self.save_figure(lambda: figure, "", Path(f".logs/{name}.png"))
        self.figures.append(StepFigure(step=self.step, title=title, svg=as_svg(figure), path=path))

    def is_of_users_code(self, error: BaseException) -> bool:
        """Whether an error came out of code of the user's that the step had run."""
        return any(error is one for one in self._of_users_code)

    def save_figure(self, figure: Callable[[], "Figure"], field: str, default: Path) -> Path | None:
        """Save a plot if plots are wanted; that it cannot be saved is no more than a warning.

        Args:
            figure: Draws it.
            field: Name of the ``TunerConfig`` field that says where; empty if there is none.
            default: Where else.

        Returns:
            The absolute path; ``None`` if it was not saved.
        """
        if not self.save_plot:
            return None
        try:
            return save(figure(), (field and getattr(self.config, field)) or default)
        except (OSError, ValueError) as error:  # not writable, or a file type that cannot be drawn
            hint = f"; set {field} to a file that can be written" if field else ""
            self.console.warn(f"the plot could not be saved: {error}{hint}")
            return None

    def _users(self, run: Callable[[], T]) -> T:
        """Run the user's code on copies; remember what it raised, for that is no fault of the step's."""
        try:
            return run()
        except BaseException as error:
            self._of_users_code += [] if hasattr(error, OF_THE_STEP) else [error]
            raise
