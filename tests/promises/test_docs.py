"""The docs are true: their code runs, their tables are those of the code.

A page is read from top to bottom, in a user's folder with the files of ``project``: a block with a title is written
to the file of that name, Python runs, commands run, TOML is a configuration that is accepted. All in this process.
"""

import contextlib
import dataclasses
import importlib.util
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

import lit_autotune
import lit_autotune.testing
from lit_autotune import ExperimentConfig, hookspecs
from lit_autotune.cli import main
from lit_autotune.errors import ExitCode
from lit_autotune.hookspecs import REGISTRATION_HOOKS
from lit_autotune.registry.registry import Registry
from lit_autotune.tuning.context import TuningContext

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "plugins" / "README.md", *(ROOT / "docs").glob("*.md")])
README = ROOT / "README.md"
COMMAND = ROOT / "docs/command.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
URL = PROJECT["urls"]["Source"]

TRAIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support.models import Blobs, Net as Plain

class Net(Plain):
    def __init__(self, lr: float = 1e-3, width: int = 16):
        super().__init__(lr, width)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))

class Data(Blobs):
    def __init__(self, batch_size: int = 16):
        super().__init__(batch_size, samples=96)

    def val_dataloader(self):
        return self.train_dataloader()
"""
TOML = """
[tuner_config]
use_batch_size_tuning = true
use_learning_rate_tuning = true

[trainer_config]
max_epochs = 1

[module_config]
class_path = "train.py:Net"

[datamodule_config]
class_path = "train.py:Data"
"""
YAML = """
trainer: {max_epochs: 1, enable_checkpointing: false}
model: {class_path: train.Net, init_args: {lr: 0.001}}
data: {class_path: train.Data, init_args: {batch_size: 16}}
"""
MAIN = """
from lightning.pytorch import LightningDataModule, LightningModule
from lit_autotune import AutotuneCLI

AutotuneCLI(LightningModule, LightningDataModule, subclass_mode_model=True, subclass_mode_data=True)
"""
HYDRA = """
defaults: [_self_, experiment: null]
seed: 1
model: {_target_: train.Net, lr: 0.001}
data: {_target_: train.Data, batch_size: 16}
trainer: {_target_: lightning.Trainer, max_epochs: 1, logger: false, enable_checkpointing: false}
"""
EXPERIMENT = """# @package _global_
data: {batch_size: 8}
"""
MISTAKES = """
import torch

class Number(Net):
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)

class Other(Net):
    def __init__(self, eta_zero: float = 1e-3):
        super().__init__()
        del self.lr
        self.eta_zero = eta_zero

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.eta_zero)

class Fixed(Data):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.data, batch_size=16)

class NoSize(Data):
    def __init__(self):
        super().__init__()
        del self.batch_size

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.data, batch_size=16)
"""
QUICK = {"COMPARE": "false", "LR_NUM_TRAINING": "20", "LR_VERIFY": "false", "BATCH_SIZE_MAX": "16"}
"""Settings that commands get from the environment here, which is below their flags: it is seen whether they work."""

NOT_RUN = {
    "make ": "the whole suite, or a demo that has a test of its own",
    "pip install": "needs an index of packages; tests/registry installs wheels",
    "git clone": "needs the network",
    "copier copy": "tests/registry/test_template.py bakes the template",
    "cd ": "leads to what is baked there",
    "pytest": "runs there",
    "autotune plugins cautious": "runs there",
    "autotune tune train.py --lr-suggester cautious": "runs there",
    "python -m build": "tests/promises/test_packaging.py builds",
    "twine": "needs an index of packages",
    "eval": "is the shell's; tests/cli/test_completion.py asks what it asks",
    "autotune cache show": "the key is an example",
    "autotune cache clear": "likewise",
    "torchrun": "starts processes; tests/tuning/test_launch.py does so",
    "python train_ddp.py": "likewise",
    "sbatch": "needs SLURM; the commands of the job run",
}
"""Beginnings of commands, or of Python blocks, that no test runs, and why."""
PROSE = {"diff", "text", "yaml", "toml"}
"""Languages of blocks without a title that are only to be read; TOML is validated."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    text: str


def blocks(page):
    """All blocks of a page, in their order."""
    found = re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', page.read_text(), flags=re.M | re.S)
    assert 2 * len(found) == len(re.findall(r"^ *```", page.read_text(), flags=re.M)), f"{page.name}: an odd fence"
    return [Block(*parts) for parts in found]


def commands(block):
    """The commands of a block: all lines of `sh`, those after a prompt of `console`."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def not_run(text):
    """Whether a command or a Python block is among those that are not run."""
    return any(text.startswith(beginning) for beginning in NOT_RUN)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder with a script, configurations of ours, of LightningCLI and of Hydra; undone afterwards."""
    files = {"train.py": TRAIN, "autotune.toml": TOML, "config.yaml": YAML, "main.py": MAIN}
    files |= {"configs/train.yaml": HYDRA, "configs/experiment/small.yaml": EXPERIMENT}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in QUICK.items():
        monkeypatch.setenv(f"LIT_AUTOTUNE_{name}", value)
    before = set(sys.modules)
    with mock.patch.dict(os.environ):
        yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run_command(command, monkeypatch):
    """Run one command as far as it is ours or a script's, in this process."""
    words = shlex.split(command.removeprefix("srun "), comments=True)
    if words[:3] == ["python", "-m", "lit_autotune"]:
        words = ["autotune", *words[3:]]
    if words[0] == "autotune":
        with contextlib.suppress(SystemExit):  # of --help
            assert main(words[1:]) == ExitCode.OK, command
        return
    assert words[0] == "python", f"neither run nor among those that are not: {command}"
    monkeypatch.setattr(sys, "argv", words[1:])
    runpy.run_path(words[1], run_name="__main__")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_what_a_page_shows_works(page, project, monkeypatch):
    """Files, code, commands and configurations, one after the other."""
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title:
            Path(block.title).write_text(block.text)
        if block.language == "toml" and "[project" not in block.text:
            ExperimentConfig.from_document(tomllib.loads(block.text), None)
        elif block.language == "python" and not block.title:
            if not not_run(block.text):
                exec(compile(block.text, page.name, "exec"), names)
        elif block.language in ("sh", "console"):
            for command in commands(block):
                if not not_run(command):
                    run_command(command, monkeypatch)
        else:
            assert block.title or block.language in PROSE, block


def test_what_is_not_run_is_there():
    """No entry of the list is left over."""
    texts = [text for page in PAGES for block in blocks(page) for text in (*commands(block), block.text)]
    assert [start for start in NOT_RUN if not any(text.startswith(start) for text in texts)] == []


def test_generated_parts_are_those_of_the_code():
    """The table of fields and the texts of ``--help`` are up to date; `make docs` renews them."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for page in generate.PAGES:
        if page == COMMAND and sys.version_info[:2] != (3, 11):
            continue  # argparse words and wraps its help differently from version to version
        assert generate.generated(page.read_text()) == page.read_text(), page.name


def test_exit_codes_are_documented():
    """The page of the command has a line for each exit code."""
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", COMMAND.read_text(), flags=re.M)}
    assert listed == {int(code) for code in ExitCode}


OF_SEVERAL_PROCESSES = {
    "on rank 1: the trial's process was ended by signal SIGKILL",
    "no process has finished a batch or computed for 600 s",
}
"""Messages that tests/trials/test_group.py meets."""


def test_messages_of_the_questions(project, capsys):
    """Each message that the page quotes is what one is met with."""
    (project / "train.py").write_text(TRAIN + MISTAKES)
    (project / "autotune.toml").unlink()
    main(["tune"])
    for module, data in (("Number", "Data"), ("Other", "Data"), ("Net", "Fixed"), ("Net", "NoSize")):
        assert main(["tune", f"train.py:{module}", f"train.py:{data}", "-q"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    quoted = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/faq.md").read_text(), flags=re.M)
    assert len(quoted) == 5 + len(OF_SEVERAL_PROCESSES)
    assert [message for message in quoted if message not in said and message not in OF_SEVERAL_PROCESSES] == []


def test_every_hook_and_every_built_in_is_documented():
    """The plugin guide names each hook, the guide each built-in strategy and suggester."""
    plugins, guide = (ROOT / "docs/plugins.md").read_text(), (ROOT / "docs/guide.md").read_text()
    for hook in (*REGISTRATION_HOOKS, "lit_autotune_trial_finished", "lit_autotune_finished"):
        assert hook in plugins
    for plugin in Registry.load().plugins:
        for provided in plugin.provides if plugin.distribution == "lit-autotune" else ():
            kind, _, name = provided.rpartition(" ")
            assert kind == "step" or f"`{name}`" in guide


FOR_THE_ORCHESTRATOR = {
    *("applied", "changes", "figures", "is_of_users_code", "owners", "places", "registry", "sandbox", "save_plot"),
    *("step", "tables"),
}
"""What of the context no step uses."""


def of_the_context():
    """Names of what the context gives to steps."""
    fields = {field.name for field in dataclasses.fields(TuningContext)}
    return {name for name in fields | set(dir(TuningContext)) if name[0] != "_"} - FOR_THE_ORCHESTRATOR


def is_of_the_page(name, page):
    """Whether the table of the context names it."""
    return re.search(rf"`(context)?\.{name}\b", page)


def test_all_that_authors_of_plugins_can_use_is_documented():
    """The page names each argument of each hook and record, and all of the author kit."""
    page = (ROOT / "docs/plugins.md").read_text()
    names = {name for name in lit_autotune.testing.__all__ if name[0] != "_"}
    for hook in (value for name, value in vars(hookspecs).items() if name.startswith("lit_autotune_")):
        names |= {f"{hook.__name__}({', '.join(inspect.signature(hook).parameters)})"}
    for record in REGISTRATION_HOOKS.values():
        names |= {field.name for field in dataclasses.fields(record)}
    assert [name for name in sorted(names) if not re.search(rf"\b{re.escape(name)}", page)] == []
    assert [name for name in sorted(of_the_context()) if not is_of_the_page(name, page)] == []
    reference = (ROOT / "docs/python.md").read_text()
    fields = {field.name for field in dataclasses.fields(TuningContext)}
    explained = of_the_context() - fields - {"module", "datamodule", "trainer"}
    assert [name for name in sorted(explained) if f"        - {name}\n" not in reference] == []


def test_our_own_steps_have_no_more_than_those_of_plugins():
    """What they take of the context is on the page for authors of plugins."""
    package = Path(lit_autotune.__file__).parent
    code = "".join(
        file.read_text() for part in ("builtin", "comparison") for file in sorted((package / part).glob("*.py"))
    )
    used = set(re.findall(r"context\.(?:context\.)?(\w+)", re.sub(r"lit_autotune\.\S*context", "", code)))
    assert {"search", "range_test", "train", "look"} <= used
    assert sorted(used - of_the_context()) == []


def test_links_lead_somewhere():
    """Links within the docs, and those to the project's address, point to files that exist."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
            elif target.startswith(URL):
                kind, _, path = target.removeprefix(f"{URL}/").partition("/main/")
                assert kind in ("blob", "tree", "raw"), f"{page.name}: {target}"
                assert (ROOT / path).exists(), f"{page.name}: {target}"


def test_the_readme_reads_on_an_index_of_packages():
    """It has no links that need the repository beside it, and ends within a screen or two."""
    text = README.read_text()
    assert re.findall(r"\]\((?!https://)[^)]*", text) == []
    assert len(text.splitlines()) < 90


def test_the_address_is_the_same_everywhere():
    """That of ``pyproject.toml``; nothing else is left to change when it changes."""
    for path in (README, ROOT / "mkdocs.yml", *(ROOT / "docs").glob("*.md")):
        assert set(re.findall(r"https://github\.com/lit-autotune[^/\s]*/[\w-]+", path.read_text())) <= {URL}, path.name


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    """Every page is in the navigation, every link and anchor leads somewhere, every docstring can be shown."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / "site" / f"{page.stem}.html").exists()
    text = "".join(page.read_text() for page in (tmp_path / "site").rglob("*.html"))
    assert re.findall(r"<(?:script|link)[^>]+(?:src|rel=\"stylesheet\" href)=\"https?:[^\"]+", text) == []
    assert re.findall(r":(?:class|func|meth):", text) == []
    reference = (tmp_path / "site" / "python.html").read_text()
    assert [name for name in lit_autotune.__all__ if name != "__version__" and name not in reference] == []


@pytest.mark.slow
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
