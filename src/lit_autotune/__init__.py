"""Find the batch size that fits and a learning rate that works, before ``trainer.fit``.

Where things are:

- ``orchestrator``: :func:`tune`, which runs the steps and writes what they found
- ``builtin/``: the steps, batch-size strategies and learning-rate suggesters, a small plugin module each
- ``search``: drives a batch-size strategy; ``curves``: the mathematics of the range test; ``quality``: whether a
  curve can be trusted; ``suggestions``: :func:`suggest_lr`, the suggesters' reading of a curve
- ``range_test``: sweeps and ``races`` of the learning rate, made of ``sweep``'s short trainings
- ``trials``: fits on copies; ``sandbox`` and ``copies``: the copies; ``attributes``: where settings are kept
- ``estimate``: the batch size for memory that is not here; ``twin``: its trials with fake tensors
- ``registry``, ``hookspecs``, ``types``: plugins; ``config``, ``settings``, ``experiment``: configuration
- ``cli/``: the ``autotune`` command, one file per subcommand

Importing this package imports neither torch nor Lightning.
"""

from typing import TYPE_CHECKING, Any

from lit_autotune._version import __version__
from lit_autotune.config import TunerConfig
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
from lit_autotune.types import (
    BatchSizeStrategy,
    BatchSizeTrial,
    LRCurve,
    LRSuggester,
    LRSuggestion,
    SearchSpace,
    TuningStep,
)

if TYPE_CHECKING:
    from lit_autotune.estimate import Estimate, estimate_batch_sizes
    from lit_autotune.experiment import ExperimentConfig
    from lit_autotune.orchestrator import tune
    from lit_autotune.report import TuningReport
    from lit_autotune.search import search_batch_size
    from lit_autotune.suggestions import suggest_lr
    from lit_autotune.tuner import Tuner

__all__ = [
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
    "Estimate": "estimate",
    "ExperimentConfig": "experiment",
    "Tuner": "tuner",
    "TuningReport": "report",
    "estimate_batch_sizes": "estimate",
    "search_batch_size": "search",
    "suggest_lr": "suggestions",
    "tune": "orchestrator",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"lit_autotune.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
