"""Loading plugins: whatever one does while it is imported is its own failure, and is told in the list."""

import json
import random
import re
import sys

import numpy as np
import pytest
import torch

from lit_autotune import ConfigError, PluginError
from lit_autotune._shared import foreign
from lit_autotune.cli import main
from lit_autotune.registry import loading
from lit_autotune.registry.registry import Registry
from support.plugins import offer, rule, status_of

DATACLASS = "import dataclasses\n@dataclasses.dataclass()\nclass Plugin:\n"
NEWER = "it needs a newer lit-autotune, or misspells something"


def listed(capsys, *arguments):
    """Plugins as `autotune plugins --json` lists them, by distribution and name; and standard error."""
    assert main(["plugins", "--json", *arguments]) == 0
    said = capsys.readouterr()
    plugins = json.loads(said.out)["plugins"]
    return {(plugin["distribution"], plugin["name"]): plugin for plugin in plugins}, said.err


@pytest.mark.parametrize("source", ["raise BaseException('enough')", "raise GeneratorExit('enough')"])
def test_any_exception_at_import_is_a_failure(install, source):
    """BaseException, too: the plugin has failed, and everything else is loaded."""
    install("acme", source)
    registry = Registry.load()
    status = status_of(registry, "acme")
    assert (status.status, status.error) == ("failed", source.removeprefix("raise ").replace("('", ": ").rstrip("')"))
    assert "acme.py" in status.traceback
    assert {plugin.status for plugin in registry.plugins if plugin is not status} == {"loaded"}


def test_interrupting_an_import_ends_the_command(install):
    """Ctrl-C is the user's."""
    install("acme", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Registry.load()
    assert main(["plugins"]) == 130


@pytest.mark.parametrize("source", ["print('hello')\n", "import os\nos.environ['GREETED'] = '1'\nprint('hello')\n"])
def test_what_a_plugin_prints_goes_to_standard_error(install, capsys, monkeypatch, source):
    """At import, and in a hook: `--json` is JSON all the same."""
    monkeypatch.delenv("GREETED", raising=False)
    install("acme", source + offer("one").replace("    return", "    print('hook')\n    return"))
    plugins, said = listed(capsys)
    assert plugins["acme", "acme"]["status"] == "loaded"
    assert said == "hello\nhook\n"


def test_random_state_and_modes_are_put_back(install):
    """Seeding or drawing at import, or in a hook, is as if it had not been."""
    mess = "import random, numpy, torch\nrandom.seed(1)\nnumpy.random.rand()\ntorch.rand(1)\n"
    mess += "torch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n"
    install("acme", mess + offer("one").replace("    return", "    random.random()\n    return"))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert status_of(Registry.load(), "acme").status == "loaded"
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_what_is_first_imported_by_a_plugin_is_left_as_new(monkeypatch):
    """A seed set right after the first import of NumPy is not the user's, nor is it kept."""
    module = sys.modules["numpy.random"]
    monkeypatch.delitem(sys.modules, "numpy.random")
    drawn = []
    for _ in range(2):
        with foreign.unchanged_state():
            monkeypatch.setitem(sys.modules, "numpy.random", module)
            np.random.seed(1)
        drawn.append(np.random.rand())
        monkeypatch.delitem(sys.modules, "numpy.random")
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("place", ["import", "hook"])
def test_a_plugin_that_hangs_is_named(install, capsys, monkeypatch, place):
    """After some seconds, with how to leave it out."""
    monkeypatch.setattr(foreign, "PATIENCE", 0.05)
    wait = "import time\ntime.sleep(0.3)\n"
    hook = offer("one").replace("    return", "    import time; time.sleep(0.3)\n    return")
    install("acme-slow", wait + offer("one") if place == "import" else hook, name="slow")
    assert status_of(Registry.load(), "acme-slow").status == "loaded"
    told = "autotune: still loading plugin 'slow' of acme-slow 1.0; -p no:slow leaves it out\n"
    assert told in capsys.readouterr().err


def test_a_heavy_import_is_noted(install, capsys, monkeypatch):
    """What makes every start slow is said, with its cost. Here a light module stands for torch, which is loaded."""
    monkeypatch.setattr(loading, "HEAVY", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    install("acme", "import colorsys\n" + offer("one"))
    plugins, _ = listed(capsys)
    [note] = plugins["acme", "acme"]["notes"]
    assert "its import takes 0.0 s, for it imports colorsys" in note


@pytest.mark.parametrize(
    ("requirement", "error"),
    [
        ("lit-autotune>=99", "needs lit-autotune >=99; this is "),
        ("Lit_Autotune (>=99)", "needs lit-autotune >=99; this is "),
        ("lit-autotune<0.0.1", "needs lit-autotune <0.0.1; this is "),
        ("lit-autotune>=0.0.1", ""),
        ("lit-autotune>=99; python_version < '3'", ""),
        ("lit-autotune>=99; extra == 'new'", ""),
        ("other>=99", ""),
        ("not a requirement !!", ""),
    ],
)
def test_a_version_that_is_not_met(install, requirement, error):
    """A plugin for another version is not even imported; what concerns other things does not matter."""
    install("acme", "LOADED = True\n" + offer("one"), requires=[requirement])
    status = status_of(Registry.load(), "acme")
    assert (status.status, "acme" in sys.modules) == (("failed", False) if error else ("loaded", True))
    assert status.error.startswith(error)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("@hookimpl\ndef lit_autotune_finished(report, figures): ...", "'figures'.*can not be found in the hookspec"),
        (rule("return 1e-3", units="'1/s'"), "TypeError: .*unexpected keyword argument 'units'"),
        ("@hookimpl\ndef lit_autotune_optimizers():\n    return []", "unknown hook 'lit_autotune_optimizers'"),
    ],
    ids=["hook argument", "record argument", "hook"],
)
def test_what_a_newer_version_knows_is_said_to_be_that(install, source, error):
    """An argument or a hook that this version does not have."""
    install("acme", source)
    status = status_of(Registry.load(), "acme")
    assert status.status == "failed"
    assert NEWER in status.error
    assert re.search(error, status.error)


@pytest.mark.parametrize("returned", ["None", "[]"])
def test_a_hook_that_returns_nothing_is_noted(install, capsys, returned):
    """The plugin is loaded and provides nothing, which is hardly what was meant."""
    install("acme", f"@hookimpl\ndef lit_autotune_lr_suggesters():\n    return {returned}")
    plugins, _ = listed(capsys)
    assert plugins["acme", "acme"]["status"] == "loaded"
    assert plugins["acme", "acme"]["notes"] == ["it provides nothing: its hooks return no record"]
    main(["plugins"])
    assert "it provides nothing" in capsys.readouterr().out


def test_a_notification_alone_is_no_note(install):
    """It provides no record, and need not."""
    install("acme", "@hookimpl\ndef lit_autotune_finished(report): ...")
    assert status_of(Registry.load(), "acme").notes == []


@pytest.mark.parametrize("marker", ["wrapper", "hookwrapper"])
def test_a_wrapper_around_a_notification_is_refused(install, marker):
    """Its body would never run."""
    install("acme", f"@hookimpl({marker}=True)\ndef lit_autotune_finished(report):\n    return (yield)")
    status = status_of(Registry.load(), "acme")
    assert status.status == "failed"
    assert status.error == "lit_autotune_finished is a notification and cannot be a wrapper; leave out wrapper=True"


@pytest.mark.parametrize("source", ["class Plugin:\n", DATACLASS.replace("()", "(frozen=True)")])
def test_a_class_is_no_entry_point(install, source):
    """An instance is."""
    body = "    @hookimpl\n    def lit_autotune_lr_suggesters(self):\n        return [LRSuggester('one', float, '')]\n"
    install("acme", source + body, value="acme:Plugin")
    assert status_of(Registry.load(), "acme").error == (
        "its entry point leads to a class; it must lead to a module, or to an object with hooks"
    )
    install("acme-other", source + body + "plugin = Plugin()", value="acme_other:plugin")
    assert status_of(Registry.load(), "acme-other").provides == ["suggester one"]


def test_an_object_that_cannot_be_hashed_is_no_plugin(install):
    """As a dataclass that is not frozen."""
    body = "    @hookimpl\n    def lit_autotune_finished(self, report): ...\n"
    install("acme", DATACLASS + body + "plugin = Plugin()", value="acme:plugin")
    assert status_of(Registry.load(), "acme").error.startswith("its Plugin cannot be hashed; make the dataclass frozen")


@pytest.mark.parametrize("value", ["acme-one", "acme one", "acme:", "acme/one.py"])
def test_a_malformed_entry_point_is_told_with_its_line(install, value):
    """As it stands in the distribution, and what it must look like."""
    install("acme-broken", offer("one"), name="acme", value=value)
    status = status_of(Registry.load(), "acme-broken")
    assert status.error == f"its entry point 'acme = {value}' is not of the form 'name = package.module'"


def test_a_line_that_is_no_entry_point_at_all(install, tmp_path):
    """Metadata that cannot be read is nobody's plugin, and everything else is loaded."""
    install("acme", offer("one"))
    (tmp_path / "site-acme" / "acme-1.0.dist-info" / "entry_points.txt").write_text("[lit_autotune]\nacme_module\n")
    assert {plugin.status for plugin in Registry.load().plugins} == {"loaded"}


def test_two_distributions_with_one_name_are_told_apart(install, capsys):
    """``-p no:DISTRIBUTION:NAME`` leaves out one of them; with neither left out, the rule is ambiguous."""
    install("acme-one", offer("same", rate=1e-3), name="same")
    install("acme-two", offer("same", rate=2e-3), name="same")
    with pytest.raises(PluginError, match=r"ambiguous, provided by plugin 'same' of acme-one 1.0 and plugin 'same'"):
        Registry.load().suggester("same")
    plugins, _ = listed(capsys, "-p", "no:acme-one:same")
    assert plugins["acme-one", "same"]["status"] == "blocked"
    assert plugins["acme-two", "same"]["provides"] == ["suggester same"]
    assert Registry.load(blocked=["acme-two:same"]).suggester("same").suggest(None) == 1e-3
    plugins, _ = listed(capsys, "-p", "no:same")
    assert {plugins[name, "same"]["status"] for name in ("acme-one", "acme-two")} == {"blocked"}


@pytest.mark.parametrize("wrong", ["acme_on", "acme-on:acme_one", "acme-one:"])
def test_a_misspelt_name_to_block_is_refused_before_any_import(install, wrong, capsys):
    """Which may be the very one that hangs."""
    install("acme-one", offer("one"))
    assert main(["plugins", "-p", f"no:{wrong}"]) == 2
    assert "did you mean 'acme" in capsys.readouterr().err
    assert "acme_one" not in sys.modules


def test_options_of_a_plugin_that_is_not_in_use(install):
    """It is said to have failed, or to be blocked; a misspelt name is told all the same."""
    install("acme-broken", "import no_such_module", name="broken")
    install("acme-good", offer("good"), name="good")
    with pytest.raises(ConfigError, match=r"options\.broken: .*plugin 'broken' of acme-broken 1.0 failed: ModuleNotF"):
        Registry.load().check_options({"broken": {}})
    with pytest.raises(ConfigError, match=r"options\.good: .*plugin 'good' of acme-good 1.0 is blocked"):
        Registry.load(blocked=["good"]).check_options({"good": {}})
    with pytest.raises(ConfigError, match=r"options\.goood: .*did you mean 'good'\?"):
        Registry.load().check_options({"goood": {}})
