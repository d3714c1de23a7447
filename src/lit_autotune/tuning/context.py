"""What a tuning step works with, those of plugins and our own."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_autotune._shared.figures import as_svg, save
from lit_autotune._shared.text import did_you_mean
from lit_autotune.copies.attributes import (
    LEARNING_RATE_NAMES,
    PEAK_NAMES,
    Place,
    Setting,
    find_batch_size,
    find_setting,
    read,
)
from lit_autotune.copies.containers import children
from lit_autotune.copies.owners import overrides
from lit_autotune.curves.points import LRSuggestion
from lit_autotune.errors import ConfigError
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.range_test.suggestions import suggest_all
from lit_autotune.report.results import AppliedValue, StepFigure, StepTable
from lit_autotune.trials.search_plan import SearchPlan
from lit_autotune.tuning.applied import as_applied
from lit_autotune.tuning.batch_sizes import try_one
from lit_autotune.tuning.on_copies import OnCopies
from lit_autotune.types import BatchSizeTrial, LRCurve, LRSuggester

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pydantic import BaseModel


@dataclass
class TuningContext(OnCopies):
    """What a tuning step works with; the guide for authors of plugins lists what there is for steps.

    Attributes:
        save_plot: Whether plots are wanted.
        changes: What will be written to the user's objects when all steps are done.
        applied: The same, with the step and the value before.
        options: The options of the step that is being run, validated; ``None`` if it has none.
        tables: Tables for console and report.
        figures: Figures for the report.
    """

    save_plot: bool = True
    changes: dict[Setting, Any] = field(default_factory=dict)
    applied: dict[Setting, AppliedValue] = field(default_factory=dict)
    options: "BaseModel | None" = None
    tables: list[StepTable] = field(default_factory=list)
    figures: list[StepFigure] = field(default_factory=list)

    @functools.cached_property
    def _search_plan(self) -> SearchPlan:
        plan: SearchPlan | None = self.plans.get("batch_size")
        return plan if plan is not None else self.plan_search(self.find_batch_size())

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

    def find_max_lr(self) -> Setting | None:
        """Where the module keeps the peak of a schedule, if that is a setting of its own."""
        try:
            return find_setting({"module": self.module}, PEAK_NAMES, None, "lr_attribute")
        except ConfigError:
            return None

    def overrides(self, hook: str) -> bool:
        """Whether the user's module or datamodule has a hook of its own."""
        return any(hasattr(owner, hook) and overrides(owner, hook) for owner in self.owners.values())

    def trial(self, batch_size: int) -> BatchSizeTrial:
        """Try a batch size as the search does; one that was tried already is not run again.

        Returns:
            The trial: whether the size fits, the memory that it took, how quick it was.
        """
        found = self.results.get("batch_size")
        for trial in found.trials if found else ():
            if trial.batch_size == batch_size:
                return trial  # type: ignore[no-any-return]
        return self._users(lambda: try_one(self, self._search_plan, batch_size))

    @property
    def suggester(self) -> LRSuggester:
        """The rule that the settings name."""
        return self.registry.suggester(self.config.lr_suggester)

    def suggest(self, curve: LRCurve) -> tuple[LRSuggestion, ...]:
        """What every rule reads off a curve; why it may be doubted stands in its ``reasons``.

        Raises:
            PluginError: If the rule that the settings name fails. Others that fail have no answer.
        """
        console, registry = self.console, self.registry
        answers = suggest_all(
            curve, registry.suggesters, self.config.options, console.warn, registry, self.suggester.name
        )
        return tuple(
            answer.model_copy(update={"reasons": tuple(map(console.wording, answer.reasons))}) for answer in answers
        )

    def as_applied(self, training: TrainingPlan) -> TrainingPlan:
        """A training to come, with the batch size and the accumulation that steps have found."""
        return as_applied(self, training)

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
