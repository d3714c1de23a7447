"""Files, environment variables, flags; whole experiments; LightningCLI projects."""

from lit_autotune.settings.layers import TunerSettings

__all__ = ["TunerSettings"]
