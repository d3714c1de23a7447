"""The docs are true: their code runs, their tables are those of the code."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lit_autotune import ExperimentConfig
from lit_autotune.errors import ExitCode
from lit_autotune.hookspecs import REGISTRATION_HOOKS
from lit_autotune.registry.registry import Registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
README = ROOT / "README.md"

TRAIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support.models import Blobs, Net as Plain

class Net(Plain):
    def __init__(self, lr: float = 1e-3):
        super().__init__(lr)

class Data(Blobs):
    def __init__(self, batch_size: int = 16):
        super().__init__(batch_size)
"""


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)


@pytest.fixture
def project(tmp_path):
    """A user's folder, with the README's configuration file."""
    (tmp_path / "train.py").write_text(TRAIN)
    config = next(block for block in blocks(README, "toml") if "class_path" in block)
    (tmp_path / "autotune.toml").write_text(config)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python_code_runs(page, project):
    """All Python blocks of a page run, one after the other, in a user's folder."""
    code = "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.name)
def test_configuration_files_are_valid(page, project):
    """Each TOML block is a configuration that is accepted, field by field."""
    for block in blocks(page, "toml"):
        document = tomllib.loads(block)
        if "project" not in document:
            ExperimentConfig.from_document(document, None)


def test_shell_commands_of_the_readme_run(project):
    """Each autotune command of the README works in a user's folder."""
    commands = [line for block in blocks(README, "sh") for line in block.splitlines() if line.startswith("autotune")]
    assert len(commands) >= 6
    for command in commands:
        words = command.partition("#")[0].split()
        executable = str(Path(sys.executable).with_name(words[0]))
        done = subprocess.run([executable, *words[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_tables_of_fields_are_those_of_the_model():
    """The generated tables are up to date; `make docs` renews them."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for page in generate.PAGES:
        assert generate.generated(page.read_text()) == page.read_text(), page.name


def test_exit_codes_are_documented():
    """The README has a line for each exit code."""
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(), flags=re.M)}
    assert listed == {int(code) for code in ExitCode}


def test_every_hook_and_every_built_in_is_documented():
    """The plugin guide names each hook, the guide each built-in strategy and suggester."""
    plugins, guide = (ROOT / "docs/plugins.md").read_text(), (ROOT / "docs/guide.md").read_text()
    for hook in (*REGISTRATION_HOOKS, "lit_autotune_trial_finished", "lit_autotune_finished"):
        assert hook in plugins
    for plugin in Registry.load().plugins:
        for provided in plugin.provides if plugin.distribution == "lit-autotune" else ():
            kind, _, name = provided.rpartition(" ")
            assert kind == "step" or f"`{name}`" in guide


def test_links_lead_somewhere():
    """Relative links in the docs point to files that exist."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_demos_table(tmp_path):
    """Trainings that really ran, untouched and tuned, on three seeds, and an honest last line; here of one epoch."""
    for name in ("digits.py", "untouched_or_tuned.py", "much_too_low.toml"):
        text = (ROOT / "examples/digits" / name).read_text()
        (tmp_path / name).write_text(text.replace("max_epochs = 10", "max_epochs = 1"))
    command = [sys.executable, "untouched_or_tuned.py", "much_too_low.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.count("untouched"), done.stdout.count("tuned ")) >= (4, 4)  # the title names both
    assert re.search(r"^Tuning (wins|does not win): test accuracy [+-]0\.\d{3} in the mean", done.stdout, flags=re.M)
