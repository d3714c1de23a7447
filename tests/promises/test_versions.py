"""The versions that ``pyproject.toml`` promises: each is installed and tried, but for torch's, which take gigabytes.

Installed beside the environment, in a folder that comes first on the path.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = [pytest.mark.environment, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FLOORS = dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", text).groups() for text in PROJECT["dependencies"])

SMOKE = """
import sys
sys.path.insert(0, sys.argv[1])
import lightning
from support.models import Blobs, Net, quiet_trainer
from lit_autotune import TunerConfig

assert lightning.__version__ == sys.argv[2], lightning.__version__
trainer, module, data = quiet_trainer(), Net(), Blobs()
config = TunerConfig(use_batch_size_tuning=True, use_learning_rate_tuning=True, batch_size_max=32, compare=False)
found = config.run_tuning(trainer, module, data)
assert found == (data.batch_size, module.lr), found
trainer.fit(module, datamodule=data)
"""


def installed(folder, *requirements, dependencies=True):
    """An environment in which the requirements, and nothing else, are of these versions."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    extra = [] if dependencies else ["--no-deps"]
    done = subprocess.run([*pip, *extra, *requirements], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": str(folder)}


def passes(environment, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_the_oldest_lightning(tmp_path):
    """All private names are there, and both tunings and a fit run."""
    oldest = FLOORS["lightning"] + ".0"
    environment = installed(tmp_path / "lightning", f"lightning=={oldest}", dependencies=False)
    passes(environment, "-m", "pytest", "-q", "-n", "0", TESTS / "internals", cwd=ROOT)
    passes(environment, "-W", "ignore", "-c", SMOKE, TESTS, oldest, cwd=tmp_path)


def test_the_newest_lightning(tmp_path):
    """That of this environment: it is not pinned, so it is the newest that there is."""
    import lightning

    passes(dict(os.environ), "-W", "ignore", "-c", SMOKE, TESTS, lightning.__version__, cwd=tmp_path)


def test_the_oldest_of_everything_else(tmp_path):
    """Plugins, settings and commands work with the lower bounds of all other dependencies at once."""
    floors = [f"{name}=={version}" for name, version in FLOORS.items() if name not in ("torch", "lightning")]
    environment = installed(tmp_path / "floors", *floors)
    names = ("registry/test_registry.py", "settings/test_layers.py", "settings/test_objects.py", "cli/test_cli.py")
    tests = [TESTS / name for name in names]
    # Of the commands those that need these libraries: a process for each of all the mistakes takes long.
    chosen = "not test_cli or fit_tunes or init or config or plugins or presets or suggest"
    # Its newest version has a plugin for pytest, which an older one in front of it lacks.
    without = ("-p", "no:platformdirs")
    passes(environment, "-m", "pytest", *without, "-q", "-n", "0", "-k", chosen, *tests, cwd=ROOT)
