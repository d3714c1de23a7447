"""Importing a plugin: foreign code that may fail, hang, print, or leave the process other than it was."""

import contextlib
import re
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from lit_autotune._shared.foreign import named_when_slow, unchanged_state
from lit_autotune._version import __version__
from lit_autotune.errors import PluginError
from lit_autotune.registry.checks import NEWER, describe
from lit_autotune.registry.status import OWN_DISTRIBUTION, PluginStatus

HEAVY = ("torch", "lightning", "pytorch_lightning", "matplotlib")
"""What makes every start of the command slow if a plugin imports it at once."""


@contextlib.contextmanager
def guarded(status: PluginStatus) -> Iterator[None]:
    """Around whatever code of a plugin runs while it is loaded.

    What is printed meanwhile goes to standard error, random state and torch's modes are put back, and after some
    seconds the user is told whom they are waiting for.
    """
    waiting = f"still loading {status}; -p no:{status.name} leaves it out"
    with unchanged_state(), contextlib.redirect_stdout(sys.stderr), named_when_slow(waiting):
        yield


def load(entry_point: metadata.EntryPoint, requirements: list[str], status: PluginStatus) -> Any:
    """What an entry point leads to.

    Raises:
        PluginError: If the entry point is malformed, or wants a newer version of this package.
        BaseException: What the plugin's code raises.
    """
    if not entry_point.pattern.match(entry_point.value):
        line = f"{entry_point.name} = {entry_point.value}"
        raise PluginError(f"its entry point {line!r} is not of the form 'name = package.module'")
    for requirement in requirements:
        _check_version(requirement)
    before, start = set(sys.modules), time.perf_counter()
    plugin = entry_point.load()
    seconds = time.perf_counter() - start
    if status.distribution != OWN_DISTRIBUTION and (heavy := [name for name in HEAVY if _is_new(name, before)]):
        status.notes.append(
            f"its import takes {seconds:.1f} s, for it imports {', '.join(heavy)}; better inside its functions"
        )
    return plugin


def _is_new(name: str, before: set[str]) -> bool:
    return name in sys.modules and name not in before


def _check_version(requirement: str) -> None:
    """Raise :class:`PluginError` if a distribution requires another version of this package than this one."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        wanted = Requirement(requirement)
    except InvalidRequirement:
        return
    if canonicalize_name(wanted.name) != OWN_DISTRIBUTION or (wanted.marker and not wanted.marker.evaluate()):
        return
    if not wanted.specifier.contains(__version__, prereleases=True):
        raise PluginError(f"needs lit-autotune {wanted.specifier}; this is {__version__}")


def failed(status: PluginStatus, error: BaseException) -> None:
    """Note why a plugin is not in use."""
    text = describe(error)
    if isinstance(error, TypeError) and re.search(r"unexpected keyword argument", text):
        text += NEWER
    status.status, status.error = "failed", text
    status.traceback = "".join(traceback.format_exception(error))
