"""The exceptions of this package, and the exit code each one ends a command with.

Every message is one line that says where, what, and what to do. Exceptions of the user's own code
(of their ``training_step``, their ``setup``) are never wrapped in one of these.
"""

from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """What the ``autotune`` command ends with."""

    OK = 0
    """Everything asked for was done."""
    UNEXPECTED = 1
    """An error in the user's code, or one nobody foresaw; the traceback is shown."""
    USAGE = 2
    """A mistake in the command line, the configuration, a target or a name."""
    NO_ANSWER = 3
    """The tuning ran but has no answer."""
    PLUGIN = 4
    """A plugin that was needed failed."""
    INTERRUPTED = 130
    """Stopped with Ctrl-C."""


class AutotuneError(Exception):
    """Base class of every error that lit-autotune raises itself."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED
    report: Any = None
    """The :class:`~lit_autotune.TuningReport` of what was found before the error; ``None`` if nothing was."""


class ConfigError(AutotuneError):
    """A setting, a configuration file or an attribute of the user's objects cannot be used."""

    exit_code = ExitCode.USAGE


class TargetError(AutotuneError):
    """An import string such as ``package.module:Class`` does not lead to a usable object."""

    exit_code = ExitCode.USAGE


class PluginError(AutotuneError):
    """A plugin failed, or gave something that its hook does not allow."""

    exit_code = ExitCode.PLUGIN


class BlamedError(PluginError):
    """A plugin's own code failed; the message names the plugin, and the file and line."""


class UnknownNameError(PluginError):
    """The settings name a strategy or suggester that no loaded plugin provides."""

    exit_code = ExitCode.USAGE


class TuningError(AutotuneError):
    """The tuning ran, but there is no answer to give."""

    exit_code = ExitCode.NO_ANSWER


class OtherRankError(TuningError):
    """What another process raised, told by name and text."""


class BatchSizeError(TuningError):
    """No batch size could be found."""


class LRSuggestionError(TuningError):
    """No learning rate can be suggested from the curve.

    Attributes:
        curve: The :class:`~lit_autotune.types.LRCurve` that was measured; ``None`` if the error is a rule's own.
        suggestions: Every suggester's answer, why it has none included.
        kind: What a suggestion would have been meant for, see ``LearningRateResult.kind``.
    """

    curve: Any = None
    suggestions: tuple[Any, ...] = ()
    kind: Any = "constant"


class EstimateError(TuningError):
    """The memory that a training takes cannot be predicted."""


class TooLittleDataError(Exception):
    """Raised by a probe when the data cannot fill one batch of that size."""


def is_users_own(error: BaseException) -> bool:
    """Whether an exception is of the user's code, here or on another rank, and says nothing of memory or data."""
    if isinstance(error, AutotuneError):
        return isinstance(error, OtherRankError)
    if type(error).__name__ == "SIGTERMException":  # Lightning's way to end a fit
        return False
    return isinstance(error, Exception) and not isinstance(error, MemoryError | TooLittleDataError)
