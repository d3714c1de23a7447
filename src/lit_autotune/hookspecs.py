"""The hooks of lit-autotune. A plugin implements any of them with :data:`hookimpl`.

The first three are *registration* hooks: called once, alone, when plugins are loaded, before torch is imported.
Return records and import what is heavy inside the functions that the records hold. What is registered is only
offered; the user picks by name in their settings, so installing a plugin never changes anybody's result.

The last two are *notifications*: an exception in one is shown as a warning and never ends the tuning.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from lit_autotune.types import BatchSizeStrategy, BatchSizeTrial, LRSuggester, TuningStep

if TYPE_CHECKING:
    from lit_autotune.report.results import TuningReport

PROJECT = "lit_autotune"
"""pluggy project name, and the entry-point group that plugins are found in."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lit_autotune_steps() -> Sequence[TuningStep]:  # type: ignore[empty-body]
    """Offer tuning steps.

    Those that the user names in ``steps`` run, in ascending ``order``.

    .. versionadded:: 0.1
    """


@hookspec
def lit_autotune_batch_size_strategies() -> Sequence[BatchSizeStrategy]:  # type: ignore[empty-body]
    """Offer batch-size strategies, one of which ``batch_size_mode`` names.

    .. versionadded:: 0.1
    """


@hookspec
def lit_autotune_lr_suggesters() -> Sequence[LRSuggester]:  # type: ignore[empty-body]
    """Offer learning-rate rules. All are run on each curve and shown; the one ``lr_suggester`` names is applied.

    .. versionadded:: 0.1
    """


@hookspec
def lit_autotune_trial_finished(trial: BatchSizeTrial) -> None:
    """Be told of each batch-size trial as it ends.

    Args:
        trial: The size, its outcome and how long it took.

    .. versionadded:: 0.1
    """


@hookspec
def lit_autotune_finished(report: "TuningReport", trainer: Any) -> None:
    """Be told of the whole result, after the values were written to the user's objects.

    Called in each of the Trainer's processes. An implementation names the arguments that it wants, one or both.

    Args:
        report: All that was tried, suggested, chosen and applied.
        trainer: The user's own Trainer, for its loggers; where the tuning ran in processes that it has started for
            that, the one of the process.

    .. versionadded:: 0.1
    """


REGISTRATION_HOOKS: dict[str, type] = {
    "lit_autotune_steps": TuningStep,
    "lit_autotune_batch_size_strategies": BatchSizeStrategy,
    "lit_autotune_lr_suggesters": LRSuggester,
}
"""Registration hook to the type of record it returns."""
