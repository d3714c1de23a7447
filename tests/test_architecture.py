"""The house rules that can be checked: floors, start-up, no callbacks, no checkpoint files."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lit_autotune

SOURCE = Path(lit_autotune.__file__).parent
HEAVY = {"torch", "lightning", "pytorch_lightning", "matplotlib", "numpy"}

FLOORS = [
    {
        "errors",
        "types",
        "config",
        "hookspecs",
        "_text",
        "_version",
        "curves",
        "readings",
        "quality",
        "races",
        "schedules",
        "sizes",
        "memory_model",
        "bracket",
        "throughput",
        "batch_choice",
        "plan",
        "comparison",
    },
    {"registry", "plugin_checks", "settings", "suggestions", "search"},
    {
        "sandbox",
        "packages",
        "copies",
        "copier",
        "process_state",
        "looks",
        "trials",
        "worst_case",
        "sweep",
        "held_out",
        "budget",
        "isolation",
        "forking",
        "watching",
        "trial_process",
        "probing",
        "peaks",
        "stepping",
        "memory",
        "attributes",
        "targets",
        "figures",
        "plotting",
        "memory_plot",
        "loaders",
        "live_tensors",
        "twin",
        "fake_batches",
        "fake_modules",
        "untraceable",
        "distributed",
        "trainers",
        "previews",
    },
    {
        "orchestrator",
        "range_test",
        "rate_search",
        "candidates",
        "preview_budget",
        "report",
        "experiment",
        "console",
        "pinning",
        "tuner",
        "lr_finder",
        "estimate",
    },
    {"cli"},
]
BESIDE = {"builtin", "testing", "__init__"}


def module_level_imports(path):
    """Modules of ours that a file imports when it is imported, by their first name."""
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lit_autotune"):
            rest = node.module.split(".")[1:]
            names.extend([rest[0]] if rest else [alias.name for alias in node.names])
    return names


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_from_its_own_floor_and_below(path):
    """No module imports from a floor above its own."""
    first = path.relative_to(SOURCE).with_suffix("").parts[0]
    if first in BESIDE:
        return
    floor = next(i for i, names in enumerate(FLOORS) if first in names)
    allowed = set().union(*FLOORS[: floor + 1])
    assert set(module_level_imports(path)) <= allowed


def test_every_module_has_a_floor():
    """A new module must be given its place."""
    present = {path.relative_to(SOURCE).with_suffix("").parts[0] for path in SOURCE.rglob("*.py")}
    assert present == set().union(BESIDE, *FLOORS)


@pytest.mark.parametrize(
    "code",
    [
        "import lit_autotune",
        "import lit_autotune; lit_autotune.TunerConfig()",
        "import lit_autotune.testing",
        "from lit_autotune.cli import main; main(['plugins'])",
        "from lit_autotune.cli import main; main(['config'])",
        "from lit_autotune.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from lit_autotune.cli import main\ntry: main(['tune', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_start_up_imports_nothing_heavy(code):
    """Importing the package, --help and plugins do not import torch, Lightning, matplotlib or NumPy."""
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def test_package_has_no_callback_and_writes_no_checkpoint():
    """The package is callback-free and needs no disk."""
    text = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    assert not re.search(r"class \w+\(.*Callback\)", text)
    assert "save_checkpoint(" not in text


def test_no_file_has_grown_beyond_a_few_pages():
    """No module is longer than 250 lines."""
    assert {path.name: n for path in SOURCE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 250} == {}


def test_public_names_are_sorted_and_exist():
    """All public names can be imported; those that need torch only when asked for."""
    assert lit_autotune.__all__ == sorted(lit_autotune.__all__)
    for name in lit_autotune.__all__:
        assert getattr(lit_autotune, name) is not None
