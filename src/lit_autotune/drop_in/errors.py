"""Errors that code written for Lightning's ``Tuner`` catches."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from lit_autotune._shared.text import Wording
from lit_autotune.errors import AutotuneError, ConfigError, UnknownNameError
from lit_autotune.internals.packages import lightning_package


@contextlib.contextmanager
def lightning_errors(trainer: Any, wording: Wording) -> Iterator[None]:
    """Raise our errors in the words of ``Tuner``.

    Those that say that something cannot be used are also what Lightning raises then, depending on what it is:
    ``MisconfigurationException``, ``AttributeError``, ``ValueError`` or ``TypeError``.

    Args:
        trainer: The user's Trainer; decides which Lightning package the exception belongs to.
        wording: What the parameters are called.
    """
    try:
        yield
    except AutotuneError as error:
        error.args = (wording(str(error)),)
        if not isinstance(error, ConfigError | UnknownNameError):
            raise
        raised = _as_lightning(type(error), lightning_package(trainer, "Trainer"), error.args)
        raise raised.with_traceback(error.__traceback__) from error.__cause__


def _as_lightning(kind: type[AutotuneError], package: str | None, arguments: tuple[Any, ...]) -> AutotuneError:
    """The error; a function of the module, so that it can be pickled."""
    # Of something that is no Trainer nobody knows the package, nor whose MisconfigurationException to raise.
    bases: list[type] = [kind, AttributeError, ValueError, TypeError]
    if package is not None:
        bases.insert(1, importlib.import_module(f"{package}.utilities.exceptions").MisconfigurationException)
    members = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__reduce__": lambda error: (_as_lightning, (kind, package, error.args)),
    }
    made: type[AutotuneError] = type(kind.__name__, tuple(bases), members)
    return made(*arguments)
