"""A report as one web page that needs nothing else: no network, no script, no other file."""

import platform
import re
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from typing import Any

from lit_autotune._shared.theme import COLOURS, SCOPE
from lit_autotune.config import TunerConfig
from lit_autotune.report import sections
from lit_autotune.report.markup import STYLE, Row, table, tag, text
from lit_autotune.report.results import TuningReport

PACKAGES = ("lit-autotune", "torch", "lightning", "pytorch-lightning", "numpy", "matplotlib")

OF_A_PAGE = f"""
body.{SCOPE} {{margin:0; max-width:none; padding:1em}}
main {{max-width:60rem; margin:0 auto}}
.{SCOPE} nav {{display:flex; flex-wrap:wrap; gap:.2em 1.2em; margin:.6em 0; font-size:.95em}}
.{SCOPE} a {{color:var(--la-data)}}
.{SCOPE} h2 {{border-bottom:1px solid var(--la-grid); padding-bottom:.2em; scroll-margin-top:1em}}
@media print {{
  body.{SCOPE} {{font-size:11px; padding:0}}
  .{SCOPE} nav {{display:none}}
  .{SCOPE} figure, .{SCOPE} tr, .{SCOPE} pre, .{SCOPE} .la-card {{break-inside:avoid}}
  .{SCOPE} h2 {{break-after:avoid}}
  .{SCOPE} svg {{max-width:13cm !important}}
  .{SCOPE} .la-wide, .{SCOPE} pre {{overflow:visible}}
  .{SCOPE} pre {{white-space:pre-wrap}}
}}
"""


def render_page(report: TuningReport, sources: Mapping[str, str] | None = None, command: str | None = None) -> str:
    """The page of a report.

    Args:
        report: The report.
        sources: For each setting where it comes from, as far as that is known.
        command: The command that made the report, if one did.
    """
    parts = {title: inside for title, inside in _sections(report, sources, command).items() if inside}
    anchors = {title: re.sub(r"\W+", "-", title.lower()) for title in parts}
    nav = tag("nav", *(tag("a", text(title), href=f"#{anchor}") for title, anchor in anchors.items()))
    body = "".join(tag("h2", text(title), id=anchors[title]) + inside for title, inside in parts.items())
    head = tag("h1", "What the tuning found") + tag("p", text(_when(report)), class_="la-quiet")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(_title(report))}</title><style>{COLOURS}{STYLE}{OF_A_PAGE}</style></head>"
        f'<body class="{SCOPE}"><main>{head}{sections.summary(report)}{sections.doubts(report.warnings)}{nav}{body}'
        "</main></body></html>\n"
    )


def _sections(report: TuningReport, sources: Mapping[str, str] | None, command: str | None) -> dict[str, str]:
    """All sections by their titles; empty ones are left out."""
    size, rate, compared = report.batch_size, report.learning_rate, report.comparison
    return {
        "What it is worth": sections.comparison(compared) if compared else "",
        "Batch size": sections.about_trials(size) + sections.batch_size_plot(size) + sections.trials(size)
        if size
        else "",
        "Learning rate": sections.rate_plot(rate) + sections.suggestions(rate) if rate else "",
        "Also set": sections.applied(report.others),
        **sections.of_steps(report),
        "Keep the result": sections.kept(report.keep),
        "Reproduce it": _reproduce(report, command),
        "Environment": _environment(report),
        "Settings": _settings(report.config, sources),
    }


def _title(report: TuningReport) -> str:
    found = [f"batch size {report.batch_size.chosen}"] if report.batch_size else []
    found += [f"learning rate {report.learning_rate.chosen:.2e}"] if report.learning_rate else []
    return f"Tuning: {', '.join(found) or 'nothing found'}"


def _when(report: TuningReport) -> str:
    plan = f" Training to come: {report.plan}." if report.plan else ""
    reused = f" Found by an earlier tuning, of {report.reused:%Y-%m-%d %H:%M}." if report.reused else ""
    return f"lit-autotune {report.version}. It took {report.seconds:.1f} s.{reused}{plan}"


def _changed(config: TunerConfig) -> dict[str, Any]:
    """The settings that are not the defaults."""
    fields = type(config).model_fields
    return {
        name: value
        for name in fields
        if (value := getattr(config, name)) != fields[name].get_default(call_default_factory=True)
    }


def _reproduce(report: TuningReport, command: str | None) -> str:
    """The same tuning once more, as a command and in Python."""
    arguments = "".join(f"    {name}={_python(value)},\n" for name, value in _changed(report.config).items())
    lines = (
        "from lit_autotune import TunerConfig, tune\n\n"
        f"config = TunerConfig(\n{arguments})\n"
        "report = tune(trainer, module, datamodule, config)"
    )
    by_command = tag("p", "By the command:") + tag("pre", text(command)) if command else ""
    how = "In Python, with the same objects. Times and peaks of memory vary, and so may what follows from them:"
    return by_command + tag("p", text(how)) + tag("pre", text(lines))


def _python(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | bool | dict | None) else repr(str(value))


def _environment(report: TuningReport) -> str:
    rows = [Row(text(name), text(value)) for name, value in report.trainer.items()]
    trainer = tag("p", "The Trainer that the values hold for:") + table(("setting", "value"), rows) if rows else ""
    versions = {"Python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    here = [Row(text(name), text(value)) for name, value in versions.items()]
    made = f"Where this page was made, {datetime.now():%Y-%m-%d %H:%M}:"
    return trainer + tag("p", text(made)) + table(("", "version"), here)


def _settings(config: TunerConfig, sources: Mapping[str, str] | None) -> str:
    """Every setting in force; those that are not the defaults are marked."""
    changed = _changed(config)
    rows = []
    for name in sorted(type(config).model_fields, key=lambda name: name not in changed):
        source = (sources or {}).get(name, "default")
        source = "set by the caller" if source == "default" and name in changed else source
        cells = (tag("code", text(name)), tag("code", text(_python(getattr(config, name)))), text(source))
        rows.append(Row(*cells, look="la-marked" if name in changed else ""))
    return table(("setting", "value", "from"), rows, wide=(1, 2))
