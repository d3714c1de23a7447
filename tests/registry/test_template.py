"""The template of plugins: baked, built, installed, tested, listed, and at work in a real tuning, for each kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lit_autotune import TunerConfig, tune
from lit_autotune.registry.registry import Registry
from lit_autotune.testing import TinyData, TinyModule
from support.command import autotune
from support.models import quiet_trainer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "plugins" / "template"
KINDS = {"rule": "suggester", "strategy": "batch-size strategy", "step": "step"}


def run(*command, cwd, path=""):
    """Run a command, with nothing but what is installed on its path; what it said."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    """A plugin of each kind, baked with a name of two words and an apostrophe in its summary."""
    copier = pytest.importorskip("copier")
    folders = {kind: tmp_path_factory.getbasetemp() / "baked" / kind for kind in KINDS}
    for kind in KINDS:
        data = {"kind": kind, "name": f"my-{kind}", "summary": f"a {kind} that says it's one"}
        copier.run_copy(str(TEMPLATE), folders[kind], data=data, defaults=True, quiet=True)
    return folders


@pytest.fixture(scope="module")
def site(baked, tmp_path_factory):
    """The folder that the wheels of all kinds are installed in."""
    site, wheels = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("wheels")
    options = ("--quiet", "--no-deps", "--disable-pip-version-check")
    run("pip", "wheel", *options, "--no-build-isolation", "-w", wheels, *baked.values(), cwd=wheels)
    run("pip", "install", *options, "--no-index", "--target", site, *wheels.glob("*.whl"), cwd=wheels)
    return site


@pytest.fixture
def installed(site, monkeypatch):
    """The same, importable; forgotten afterwards."""
    monkeypatch.syspath_prepend(str(site))
    yield site
    for kind in KINDS:
        sys.modules.pop(f"lit_autotune_my_{kind}", None)


def test_all_kinds_are_listed(installed):
    """With distribution, version, and what each provides; nothing is odd about them."""
    plugins = {plugin["name"]: plugin for plugin in json.loads(autotune("plugins", "--json").stdout)["plugins"]}
    for kind, title in KINDS.items():
        plugin = plugins[f"my-{kind}"]
        assert (plugin["status"], plugin["notes"], plugin["provides"]) == ("loaded", [], [f"{title} my-{kind}"])
        assert (plugin["distribution"], plugin["version"]) == (f"lit-autotune-my-{kind}", "0.1.0")
        assert f"a {kind} that says it's one" in autotune("plugins", f"my-{kind}").stdout


def test_their_own_tests_pass(baked, site):
    """Those that an author finds in the baked folders, against what is installed."""
    folder = baked["rule"].parent
    run("pytest", "-q", "-p", "no:cacheprovider", *(f"{kind}/tests" for kind in KINDS), cwd=folder, path=str(site))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_baked_is_in_good_style(baked, kind):
    """No linter has anything to say to begin with."""
    run("ruff", "check", "--isolated", "--select", "E,F,I,UP,B", "--line-length", "120", ".", cwd=baked[kind])
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", ".", cwd=baked[kind])


def test_all_kinds_at_work(installed):
    """Installed, and named in the settings, each does its part of one tuning."""
    module, data = TinyModule(), TinyData()
    config = TunerConfig(
        use_batch_size_tuning=True,
        batch_size_mode="my-strategy",
        batch_size_target="largest",
        use_learning_rate_tuning=True,
        lr_suggester="my-rule",
        lr_num_training=40,
        lr_verify=False,
        compare=False,
        steps=["my-step"],
    )
    report = tune(quiet_trainer(), module, data, config)
    assert data.batch_size == report.batch_size.chosen == 54
    assert module.lr == report.learning_rate.chosen
    assert report.learning_rate.suggester == "my-rule"
    assert set(report.steps["my-step"]) == {"best"}


@pytest.mark.parametrize(
    "data",
    [{"name": name} for name in ("My rule", "my_rule", "7rules", "my--rule", "")]
    + [{"summary": 'a "good" one'}, {"summary": "a\\b"}, {"summary": ""}, {"author": '"me"'}],
    ids=str,
)
def test_an_answer_that_would_be_no_package_is_refused(tmp_path, data):
    """Before anything is written."""
    copier = pytest.importorskip("copier")
    with pytest.raises(ValueError, match=r"letter|neither empty"):
        copier.run_copy(str(TEMPLATE), tmp_path / "new", data=data, defaults=True, quiet=True)
    assert not (tmp_path / "new").exists()


def test_it_is_not_in_use_without_being_installed():
    """What the tests above install is nobody's."""
    assert not [plugin for plugin in Registry.load().plugins if plugin.name.startswith("my-")]
