"""What all tests share."""

import gc
import os

# Of all processes that tests start: several that compute on all cores at once mostly wait for each other, and modules
# are compiled once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest
import torch
from hypothesis import settings

from support.plugins import install

__all__ = ["install"]  # fixtures made elsewhere

# How long an example takes depends on the machine's load, and says nothing.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Let torch wait less long than its five seconds for a loader's worker that has failed.
torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.3


def pytest_collection_modifyitems(items):
    """Files of slow tests first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="module")
def _quick_collections():
    """Have the garbage collector leave out what was there before a file: it takes most of a small trial's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean_start(tmp_path, monkeypatch):
    """Run each test in a folder of its own, without settings from outside, on one thread."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIT_AUTOTUNE_")]:
        monkeypatch.delenv(name)
    torch.set_num_threads(1)
    torch.manual_seed(0)
