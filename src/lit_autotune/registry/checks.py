"""What the registry needs to judge plugins: entry points, checks of records, errors in one line."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_args

import pluggy
from pydantic import BaseModel

from lit_autotune import hookspecs
from lit_autotune._shared.text import did_you_mean, first_line
from lit_autotune.curves.schedules import RateKind
from lit_autotune.errors import PluginError

NEWER = "; it needs a newer lit-autotune, or misspells something"
"""What a plugin that knows more than this version looks like."""


def check_plugin(plugin: object) -> None:
    """Raise :class:`PluginError` for what cannot be a plugin, whatever hooks it has."""
    if plugin is None:
        raise PluginError("it is None")
    if inspect.isclass(plugin):
        raise PluginError("its entry point leads to a class; it must lead to a module, or to an object with hooks")
    if type(plugin).__hash__ is None:
        raise PluginError(f"its {type(plugin).__name__} cannot be hashed; make the dataclass frozen, or no dataclass")


def check_record(record: object, kind: Any, hook: str) -> None:
    """Raise :class:`PluginError` if a record is not what a registration hook must return."""
    if type(record) is not kind:
        raise PluginError(f"{hook} must return {kind.__name__} records, not {type(record).__name__}")
    values: dict[str, Any] = {entry.name: getattr(record, entry.name) for entry in fields(kind)}  # type: ignore[arg-type]
    name = values["name"]
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        raise PluginError(f"{hook}: {name!r} is no valid name; use letters, digits, '-' and '_'")
    for attribute in ("search", "suggest", "run"):
        if not callable(values.get(attribute, describe)):
            raise PluginError(f"{hook}: {attribute} of {name!r} is not callable")
    for attribute in ("check", "prepare", "is_enabled"):
        if not (values.get(attribute) is None or callable(values[attribute])):
            raise PluginError(f"{hook}: {attribute} of {name!r} is neither None nor callable")
    options = values["options"]
    if not (options is None or (isinstance(options, type) and issubclass(options, BaseModel))):
        raise PluginError(f"{hook}: options of {name!r} is neither None nor a pydantic model")
    if values.get("kind", "constant") not in get_args(RateKind):
        raise PluginError(f"{hook}: kind of {name!r} is none of {', '.join(get_args(RateKind))}")
    if not isinstance(values.get("order", 0), int):
        raise PluginError(f"{hook}: order of {name!r} is no whole number")


def describe(error: BaseException) -> str:
    """An error in one line, with its type unless it is our own."""
    if isinstance(error, PluginError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"


def validation_text(error: pluggy.PluginValidationError) -> str:
    """Pluggy's message without the plugin's representation and line breaks."""
    text = " ".join(str(error).split())
    text = text.replace(f" in plugin {error.plugin!r}", "")
    if unknown := re.fullmatch(r"unknown hook '(\w+)'", text):
        # Without what all names begin with, which would make any two of them alike.
        prefix = f"{hookspecs.PROJECT}_"
        hooks = {name.removeprefix(prefix): name for name in vars(hookspecs) if name.startswith(prefix)}
        hint = did_you_mean(unknown[1].removeprefix(prefix), hooks)
        return text + (hint.replace("mean '", f"mean '{prefix}") or NEWER)
    text = text.split(": ", 1)[-1] if text.startswith("Plugin ") else text
    return text + NEWER if "can not be found in the hookspec" in text else text


def check_notifications(plugin: object, callers: Iterable[Any]) -> None:
    """Raise :class:`PluginError` for a wrapper around a notification: there is nothing to wrap, it would never run.

    Args:
        plugin: The plugin.
        callers: pluggy's callers of the hooks that it has.
    """
    for caller in callers:
        wraps = any(one.wrapper or one.hookwrapper for one in caller.get_hookimpls() if one.plugin is plugin)
        if wraps and caller.name not in hookspecs.REGISTRATION_HOOKS:
            raise PluginError(f"{caller.name} is a notification and cannot be a wrapper; leave out wrapper=True")
