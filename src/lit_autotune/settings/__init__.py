"""Files, environment variables, flags; whole experiments; LightningCLI and Hydra projects.

It imports ``_shared``, ``config``, ``copies``, ``errors``, ``internals``, ``report`` and ``tuning``.
"""

from lit_autotune.settings.layers import TunerSettings

__all__ = ["TunerSettings"]
