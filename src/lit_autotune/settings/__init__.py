"""Files, environment variables, flags; whole experiments; LightningCLI and Hydra projects."""

from lit_autotune.settings.layers import TunerSettings

__all__ = ["TunerSettings"]
