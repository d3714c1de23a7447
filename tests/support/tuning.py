"""One way to tune in a test."""

from lit_autotune import TunerConfig, tune
from support.models import Blobs, quiet_trainer

BOTH = {"use_batch_size_tuning": True, "use_learning_rate_tuning": True}
"""Both tunings."""


def tuned(module, data=None, trainer=None, *, registry=None, save_plot=False, **fields):
    """The report of a tuning that prints nothing; on the plainest data, for two epochs, if not said otherwise."""
    config = TunerConfig(**{"verbose": False, **fields})
    return tune(trainer or quiet_trainer(), module, data or Blobs(), config, registry=registry, save_plot=save_plot)
