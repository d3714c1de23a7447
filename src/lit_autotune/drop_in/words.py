"""What the settings are called in ``Tuner``."""

from collections.abc import Mapping

from lit_autotune._shared.text import Wording
from lit_autotune.config import TunerConfig

BATCH_SIZE = {
    "batch_size_mode": "mode",
    "batch_size_method": "method",
    "batch_size_steps_per_trial": "steps_per_trial",
    "batch_size_init_val": "init_val",
    "batch_size_max_trials": "max_trials",
    "batch_size_attribute": "batch_arg_name",
    "batch_size_margin": "margin",
    "batch_size_max": "max_val",
}
"""The parameters of ``scale_batch_size`` by the fields of ``TunerConfig`` that they become."""

LEARNING_RATE = {
    "lr_min": "min_lr",
    "lr_max": "max_lr",
    "lr_num_training": "num_training",
    "lr_mode": "mode",
    "lr_early_stop_threshold": "early_stop_threshold",
    "update_model_lr": "update_attr",
    "lr_attribute": "attr_name",
}
"""The same for ``lr_find``."""


def wording(method: str, names: Mapping[str, str]) -> Wording:
    """The words of one of the Tuner's methods. Settings that it does not have are named in full."""
    others = {name: f"TunerConfig.{name}" for name in TunerConfig.model_fields if "_" in name}
    return Wording(f"Tuner::{method}", {**others, **names})
