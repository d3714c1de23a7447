"""The house rules that can be checked besides the import contract: lengths, the map, start-up, no callbacks."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lit_autotune

SOURCE = Path(lit_autotune.__file__).parent
HEAVY = {"torch", "lightning", "pytorch_lightning", "matplotlib", "numpy", "argcomplete"}

PARTS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def lines_of_code(function, lines):
    """Lines of a function, but for its docstring, comments and empty lines."""
    first = function.body[0]
    has_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    text = range(first.lineno, first.end_lineno + 1) if has_text else ()
    numbers = (number for number in range(function.lineno, function.end_lineno + 1) if number not in text)
    return sum(1 for number in numbers if lines[number - 1].strip() and not lines[number - 1].strip().startswith("#"))


@pytest.mark.parametrize("part", PARTS)
def test_the_map_names_every_part(part):
    """The package's docstring and the page about how it works have all parts, and each says what it is for."""
    page = (SOURCE.parents[1] / "docs" / "how_it_works.md").read_text() if SOURCE.parent.name == "src" else None
    assert f"``{part}``" in lit_autotune.__doc__
    assert page is None or f"`{part}`" in page
    assert ast.get_docstring(ast.parse((SOURCE / part / "__init__.py").read_text())).endswith(".")


def parts_imported(part):
    """Other parts that a part's modules import, inside functions and for types only included."""
    names = set()
    for file in (SOURCE / part).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "lit_autotune":
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lit_autotune."):
                names.add(node.module.split(".")[1])
    return names - {part, "_version"}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_says_what_it_imports(part):
    """The last sentence of its docstring names the other parts, and no more than these."""
    text = ast.get_docstring(ast.parse((SOURCE / part / "__init__.py").read_text()))
    said = re.search(r"It imports ([^.]*)\.$", text)
    assert set(re.findall(r"``(\w+)``", said[1])) == parts_imported(part)


@pytest.mark.slow
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


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_function_has_grown_beyond_a_page(path):
    """None has more than 45 lines of code."""
    text = path.read_text()
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    lengths = {function.name: lines_of_code(function, text.splitlines()) for function in functions}
    assert {name: length for name, length in lengths.items() if length > 45} == {}


def test_public_names_are_sorted_and_exist():
    """All public names can be imported; those that need torch only when asked for."""
    assert lit_autotune.__all__ == sorted(lit_autotune.__all__)
    for name in lit_autotune.__all__:
        assert getattr(lit_autotune, name) is not None
