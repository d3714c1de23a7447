"""What is published: the lists of files, the text of the index's page, and a wheel that works without the checkout."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from lit_autotune import TuningReport, __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAME = f"lit_autotune-{__version__}"
TRAIN = """
import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

class Data(pl.LightningDataModule):
    def __init__(self, batch_size: int = 4):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(64, 8), torch.randn(64, 1)), self.batch_size)

class Net(pl.LightningModule):
    def __init__(self, lr: float = 1e-3):
        super().__init__()
        self.lr = lr
        self.layer = torch.nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
"""


def run(*command, cwd, **environment):
    """A command's output; on failure all that it said."""
    variables = {**os.environ, **environment}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Both distributions, built once as they are for a release: the wheel from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """A folder with the wheel alone; all that it needs is in the running environment."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-compile", "--target", folder, dist / f"{NAME}-py3-none-any.whl", cwd=folder)
    return folder


def test_the_index_takes_both(dist):
    """Metadata and README are accepted without a warning."""
    files = sorted(dist.iterdir())
    assert [file.name for file in files] == [f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"]
    assert run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=dist).count("PASSED") == 2


def test_sdist_holds_the_project(dist):
    """Whoever packages it finds tests, docs, plugins, examples and benchmarks, but neither results nor waste."""
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    kept = ("src", "tests", "docs", "plugins", "examples", "benchmarks")
    sources = {
        str(path.relative_to(ROOT))
        for folder in kept
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".png", ".toml") and not {".logs", "site"} & set(path.parts)
    }
    assert sources <= names
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "constraints.txt"} <= names
    assert "mkdocs.yml" in names
    assert not [name for name in names if name.endswith((".jsonl", ".pyc")) or name.startswith(("dist/", "site/"))]


def test_wheel_holds_the_package_and_nothing_else(dist):
    """All modules, the marker for type checkers, the license, and no tests."""
    with zipfile.ZipFile(dist / f"{NAME}-py3-none-any.whl") as archive:
        names = set(archive.namelist())
    package = ROOT / "src" / "lit_autotune"
    modules = {str(path.relative_to(package.parent)) for path in package.rglob("*.py")}
    about = {f"{NAME}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert names == modules | {"lit_autotune/py.typed"} | about | {f"{NAME}.dist-info/licenses/LICENSE"}


def test_wheel_works_without_the_checkout(installed, tmp_path):
    """The command answers, finds the built-in plugins and tunes, all of it from the installed wheel."""
    (tmp_path / "train.py").write_text(TRAIN)
    first = {"PYTHONPATH": str(installed)}
    where = run(sys.executable, "-c", "import lit_autotune; print(lit_autotune.__file__)", cwd=tmp_path, **first)
    assert Path(where.strip()).is_relative_to(installed)
    autotune = installed / "bin" / "autotune"
    assert run(autotune, "--help", cwd=tmp_path, **first).startswith("usage: autotune")
    plugins = run(sys.executable, "-m", "lit_autotune", "plugins", cwd=tmp_path, **first)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["lit_autotune"]
    assert plugins.count(f"lit-autotune {__version__}  loaded") == len(declared)
    few = ("--max-epochs", "1", "--batch-size-max", "8", "--lr-num-training", "20", "--compare", "false")
    run(autotune, "tune", "train.py:Net", "train.py:Data", "--report", "report.json", *few, cwd=tmp_path, **first)
    report = TuningReport.model_validate_json((tmp_path / "report.json").read_bytes())
    assert report.batch_size.chosen == 8
    assert report.learning_rate.chosen
