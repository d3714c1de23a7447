"""Files, environment variables, flags; whole experiments."""

from lit_autotune.settings.layers import TunerSettings

__all__ = ["TunerSettings"]
