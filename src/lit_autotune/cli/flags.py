"""A flag for each setting, with what it may be."""

import argparse
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from lit_autotune.config import PRESETS, TunerConfig

GROUPS = (
    ("batch size", ("use_batch", "batch_size")),
    ("memory", ("memory_", "trial_")),
    ("learning rate", ("use_learning", "lr_", "update_model_lr")),
    ("comparison", ("compare", "verify_budget")),
    ("what is kept and printed", ("cache", "verbose", "is_debug", "plot_")),
)
"""Titles in ``--help``, and how the names of their settings begin."""

PLUGINS = {
    "steps": ("--step", "NAME", "run the step NAME of a plugin, too (may be repeated)"),
    "options": ("--option", "NAME.FIELD=VALUE", "an option of the rule, strategy or step NAME (may be repeated)"),
}
"""Fields that have a flag of their own: the flag, its metavar, what it does."""

METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT", Path: "FILE", bool: "true,false"}
SPECIAL = {"batch_size_mode": "NAME", "lr_suggester": "NAME", "memory_budget": "SIZE", "cache": "{true,false,DIR}"}
WAYS = {"quick": "quickly", "thorough": "thoroughly"}


def add_settings_options(parser: argparse.ArgumentParser, defaults: Mapping[str, Any] | None = None) -> None:
    """``--config``, the presets, and a flag for each field of ``TunerConfig``.

    Args:
        parser: Of the subcommand.
        defaults: What the subcommand takes where no layer says anything, if that differs from the fields' defaults.
    """
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file (default: $LIT_AUTOTUNE_CONFIG, ./autotune.toml, or [tool.lit-autotune] in ./pyproject.toml)",
    )
    presets = parser.add_mutually_exclusive_group()
    for preset, values in PRESETS.items():
        named = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        presets.add_argument(
            f"--{preset}", dest="preset", action="store_const", const=preset, help=f"tune {WAYS[preset]}: {named}"
        )
    quiet: dict[str, Any] = {"dest": "verbose", "action": "store_false", "default": argparse.SUPPRESS}
    parser.add_argument("-q", "--quiet", help="the same as --no-verbose", **quiet)
    present = {**dict(TunerConfig()), **(defaults or {})}
    for title, prefixes in GROUPS:
        group = parser.add_argument_group(title)
        for name in TunerConfig.model_fields:
            if name.startswith(prefixes):
                _add(group, name, present[name])
    plugins = parser.add_argument_group("plugins")
    for name, (flag, metavar, text) in PLUGINS.items():
        adding: dict[str, Any] = {"action": "append", "default": argparse.SUPPRESS}
        plugins.add_argument(flag, dest=name, metavar=metavar, help=text, **adding)


def _add(group: Any, name: str, default: Any) -> None:
    field = TunerConfig.model_fields[name]
    text = (field.description or "").rstrip(".").replace("`", "").replace("%", "%%")
    text = text[0].lower() + text[1:] if not text.startswith("LR ") else text
    stated = "" if default is None else f" (default: {_written(default)})"
    kwargs: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text + stated}
    if field.annotation is bool:
        kwargs["action"] = argparse.BooleanOptionalAction
    else:
        kwargs["metavar"] = SPECIAL.get(name) or metavar(field.annotation)
    group.add_argument("--" + name.replace("_", "-"), **kwargs)


def metavar(annotation: Any) -> str:
    """What may stand behind a flag: all choices where there are some, else what kind of value."""
    if get_origin(annotation) is Literal:
        return "{" + ",".join(map(str, get_args(annotation))) + "}"
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [metavar(part) for part in get_args(annotation) if part is not type(None)]
        return parts[0] if len(parts) == 1 else "{" + ",".join(part.strip("{}") for part in parts) + "}"
    return METAVARS.get(annotation, "VALUE")


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
