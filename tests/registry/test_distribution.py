"""A third-party distribution, built and installed for real, next to lit-autotune's own wheel in a fresh environment."""

import json
import math
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = [pytest.mark.environment, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "plugins" / "lit-autotune-log-mean"
BIN = "Scripts" if os.name == "nt" else "bin"


def run(*command, cwd, **environment):
    """Run a command without anything that leads back to the checkout; its output, and on failure all it said."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LIT_AUTOTUNE_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**inherited, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Wheels of lit-autotune and of the plugin."""
    folder = tmp_path_factory.mktemp("wheels")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT, PLUGIN, cwd=folder)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheels, tmp_path_factory):
    """Folder of the programs of a fresh environment with both wheels, and what the example and the tests need."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", environment, cwd=environment)
    packages = (*wheels, "scikit-learn", "pytest")
    pip = (environment / BIN / "python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", *packages, cwd=environment)
    yield environment / BIN
    shutil.rmtree(environment)  # torch is large, and pytest would keep three of these


def listed(scripts, folder, *arguments, **environment):
    """Plugins as the installed command lists them, by name; and what it said on standard error."""
    done = run(scripts / "autotune", "plugins", "--json", *arguments, cwd=folder, **environment)
    return {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}, done.stderr


def test_wheels_hold_the_package_and_nothing_else(wheels):
    """Each wheel has one package, no tests, and needs no more than it says."""
    for wheel, package in zip(wheels, ("lit_autotune", "lit_autotune_log_mean"), strict=True):
        listing = run(sys.executable, "-m", "zipfile", "-l", wheel, cwd=wheel.parent).stdout.splitlines()[1:]
        tops = {line.partition("/")[0] for line in listing}
        assert {top for top in tops if not top.endswith(".dist-info")} == {package}


def test_installed_package_is_not_the_checkout(scripts, tmp_path):
    """Both packages are imported from the fresh environment, the marker for type checkers included."""
    code = "import lit_autotune, lit_autotune_log_mean as p; print(lit_autotune.__file__); print(p.__file__)"
    files = run(scripts / "python", "-c", code, cwd=tmp_path).stdout.split()
    assert len(files) == 2
    for file in files:
        assert Path(file).is_relative_to(scripts.parent)
    assert (Path(files[0]).parent / "py.typed").exists()


def test_plugin_is_listed_with_its_distribution(scripts, tmp_path):
    """The command lists the plugin with its distribution, its version and what it provides, beside all built-ins."""
    plugins, _ = listed(scripts, tmp_path)
    assert plugins["log_mean"] == {
        "name": "log_mean",
        "distribution": "lit-autotune-log-mean",
        "version": tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["version"],
        "status": "loaded",
        "error": "",
        "provides": ["suggester log_mean"],
        "notes": [],
        "module": "lit_autotune_log_mean",
        "traceback": "",
    }
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["lit_autotune"]
    assert set(plugins) == {*declared, "log_mean"}
    assert {plugin["status"] for plugin in plugins.values()} == {"loaded"}


def test_blocked_plugin_is_not_imported(scripts, tmp_path):
    """``-p no:log_mean`` keeps the plugin from being imported, as the interpreter's own record of imports shows."""
    plugins, imports = listed(scripts, tmp_path, PYTHONVERBOSE="1")
    assert plugins["log_mean"]["status"] == "loaded"
    assert "import 'lit_autotune_log_mean'" in imports
    plugins, imports = listed(scripts, tmp_path, "-p", "no:log_mean", PYTHONVERBOSE="1")
    assert plugins["log_mean"]["status"] == "blocked"
    assert plugins["log_mean"]["provides"] == []
    assert "import 'lit_autotune.builtin.steepest'" in imports
    assert "lit_autotune_log_mean" not in imports


def test_tuning_applies_the_plugins_suggestion(scripts, tmp_path):
    """Named in the settings, the plugin's rule is among the suggestions of the report and is the one applied.

    Without verification and comparison, which may prefer another rate.
    """
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "digits")
    config = tmp_path / "digits" / "autotune.toml"
    chosen = '[tuner_config]\nlr_suggester = "log_mean"\nlr_verify = false\ncompare = false\n'
    text = config.read_text().replace("[tuner_config]\n", chosen)
    config.write_text(text.replace("width = 32", "width = 8"))
    run(scripts / "autotune", "tune", "--config", config, "--report", "report.json", cwd=tmp_path)
    rate = json.loads((tmp_path / "report.json").read_text())["learning_rate"]
    values = {suggestion["suggester"]: suggestion["value"] for suggestion in rate["suggestions"]}
    assert rate["suggester"] == "log_mean"
    assert rate["applied"] is True
    assert rate["chosen"] == values["log_mean"]
    assert math.isclose(values["log_mean"], math.sqrt(values["steepest"] * values["minimum"]))


def test_template_passes_its_own_tests(scripts, tmp_path):
    """The plugin's tests, which a new plugin's author copies, pass where only the wheels are installed."""
    shutil.copytree(PLUGIN / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    assert " passed" in run(scripts / "python", "-m", "pytest", "-q", "tests", cwd=tmp_path).stdout
