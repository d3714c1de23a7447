"""Find the batch size that fits and a learning rate that works, before ``trainer.fit``.

Where things are, each line using only what stands below it:

- ``cli``: the ``autotune`` command, one file per subcommand
- ``drop_in``: Lightning's interface; ``settings``: files, environment, whole experiments, LightningCLI, Hydra
- ``builtin``: our plugins: the steps, strategies and suggesters; ``testing``: the kit for authors of others
- ``comparison``: the values found against the present ones
- ``tuning``: :func:`tune`, and what steps work with
- ``search``: for a batch size; ``range_test``: the LR range test
- ``cache``: results of earlier tunings; ``estimate``: batch sizes for memory that is not here; ``registry``: loads
  plugins; ``previews``: shortened trainings
- ``trials``: one batch-size trial, and the process it runs in; ``hookspecs``: the hooks
- ``copies``: throwaway copies and their runs; ``report``: what the user gets and sees
- ``types``: what plugins take and return
- ``memory``: budgets, peaks, errors; ``curves``: reading a curve; ``planning``: the training to come; ``config``
- ``internals``: private parts of Lightning and torch
- ``_shared``: words, sizes, records, figures, import strings; ``errors``

Importing this package imports neither torch nor Lightning.
"""

from typing import TYPE_CHECKING, Any

from lit_autotune._version import __version__
from lit_autotune.config import TunerConfig
from lit_autotune.curves.points import LRSuggestion
from lit_autotune.errors import (
    AutotuneError,
    BatchSizeError,
    ConfigError,
    EstimateError,
    LRSuggestionError,
    PluginError,
    TargetError,
    TuningError,
    UnknownNameError,
)
from lit_autotune.hookspecs import hookimpl
from lit_autotune.types import BatchSizeStrategy, BatchSizeTrial, LRCurve, LRSuggester, SearchSpace, TuningStep

if TYPE_CHECKING:
    from lit_autotune.drop_in.tuner import Tuner
    from lit_autotune.estimate.estimate import estimate_batch_sizes
    from lit_autotune.range_test.suggestions import suggest_lr
    from lit_autotune.report.estimates import Estimate
    from lit_autotune.report.results import TuningReport
    from lit_autotune.search.driver import search_batch_size
    from lit_autotune.settings.autotune_cli import AutotuneCLI
    from lit_autotune.settings.experiment import ExperimentConfig
    from lit_autotune.tuning.context import TuningContext
    from lit_autotune.tuning.orchestrator import tune

__all__ = [
    "AutotuneCLI",
    "AutotuneError",
    "BatchSizeError",
    "BatchSizeStrategy",
    "BatchSizeTrial",
    "ConfigError",
    "Estimate",
    "EstimateError",
    "ExperimentConfig",
    "LRCurve",
    "LRSuggester",
    "LRSuggestion",
    "LRSuggestionError",
    "PluginError",
    "SearchSpace",
    "TargetError",
    "Tuner",
    "TunerConfig",
    "TuningContext",
    "TuningError",
    "TuningReport",
    "TuningStep",
    "UnknownNameError",
    "__version__",
    "estimate_batch_sizes",
    "hookimpl",
    "search_batch_size",
    "suggest_lr",
    "tune",
]

_LAZY = {
    "AutotuneCLI": "settings.autotune_cli",
    "Estimate": "report.estimates",
    "ExperimentConfig": "settings.experiment",
    "Tuner": "drop_in.tuner",
    "TuningReport": "report.results",
    "estimate_batch_sizes": "estimate.estimate",
    "search_batch_size": "search.driver",
    "suggest_lr": "range_test.suggestions",
    "TuningContext": "tuning.context",
    "tune": "tuning.orchestrator",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"lit_autotune.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
