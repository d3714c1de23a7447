"""What a tuning step works with."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_autotune._shared.figures import save
from lit_autotune.config import TunerConfig
from lit_autotune.copies.attributes import Setting
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.previews.previews import Previews
from lit_autotune.registry.registry import Registry
from lit_autotune.report.console import Console

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TuningContext:
    """What a tuning step works with.

    Attributes:
        config: The settings in force.
        registry: The plugins in use.
        sandbox: Makes and fits throwaway copies; they have what earlier steps found.
        owners: The user's own objects by role. Only to be looked at.
        console: To tell the user what is going on.
        save_plot: Whether plots are wanted.
        changes: What will be written to the user's objects when all steps are done.
        plans: What the steps have prepared, by their names.
        results: What the steps that have run came to, by their names.
        started: When the tuning began, by ``time.perf_counter``.
    """

    config: TunerConfig
    registry: Registry
    sandbox: Sandbox
    owners: dict[str, Any]
    console: Console
    save_plot: bool = True
    changes: dict[Setting, Any] = field(default_factory=dict)
    plans: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @functools.cached_property
    def previews(self) -> Previews:
        """Runs previews of the training to come, each once."""
        return Previews(self.sandbox, self.config.lr_optimizer_index)

    def apply(self, setting: Setting, value: Any) -> None:
        """Have a value written to the user's objects at the end, and to all copies from now on."""
        self.changes[setting] = value
        self.sandbox.set(setting, value)

    def save_figure(self, figure: Callable[[], "Figure"], field: str, default: Path) -> Path | None:
        """Save a plot if plots are wanted; that it cannot be saved is no more than a warning.

        Args:
            figure: Draws it.
            field: Name of the ``TunerConfig`` field that says where.
            default: Where else.

        Returns:
            The absolute path; ``None`` if it was not saved.
        """
        if not self.save_plot:
            return None
        try:
            return save(figure(), getattr(self.config, field) or default)
        except (OSError, ValueError) as error:  # not writable, or a file type that cannot be drawn
            self.console.warn(f"the plot could not be saved: {error}; set {field} to a file that can be written")
            return None
