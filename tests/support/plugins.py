"""Distributions with plugins, made up and installed for a test."""

import sys
import textwrap

import pytest

HEAD = """
import pluggy
from lit_autotune import BatchSizeStrategy, LRSuggester, LRSuggestionError, TuningStep, hookimpl
"""


def offer(*names, rate=1e-3):
    """Source of a plugin that offers suggesters of these names."""
    records = ", ".join(f"LRSuggester({name!r}, lambda curve: {rate}, '')" for name in names)
    return f"@hookimpl\ndef lit_autotune_lr_suggesters():\n    return [{records}]\n"


def rule(body, name="odd", **record):
    """Source of a plugin with one suggester, whose function has this body."""
    options = "".join(f", {key}={value}" for key, value in record.items())
    return (
        f"def suggest(curve):\n{textwrap.indent(body, '    ')}\n\n"
        f"@hookimpl\ndef lit_autotune_lr_suggesters():\n    return [LRSuggester({name!r}, suggest, ''{options})]\n"
    )


def strategy(body, name="odd", arguments="space"):
    """Source of a plugin with one batch-size strategy, whose search has this body."""
    return (
        f"def search({arguments}):\n{textwrap.indent(body, '    ')}\n\n"
        f"@hookimpl\ndef lit_autotune_batch_size_strategies():\n    return [BatchSizeStrategy({name!r}, search, '')]\n"
    )


def status_of(registry, distribution):
    """The one plugin of a distribution."""
    [status] = [plugin for plugin in registry.plugins if plugin.distribution == distribution]
    return status


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a fake distribution with one module and one entry point; the module is forgotten after the test."""
    modules = []

    def install(distribution, source, name=None, module=None, value=None, requires=()):
        module = module or distribution.replace("-", "_")
        site = tmp_path / f"site-{distribution}"
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{lines}")
        (info / "entry_points.txt").write_text(f"[lit_autotune]\n{name or module} = {value or module}\n")
        (site / f"{module}.py").write_text(HEAD + textwrap.dedent(source))
        monkeypatch.syspath_prepend(str(site))
        modules.append(module)

    yield install
    for module in modules:
        sys.modules.pop(module, None)
