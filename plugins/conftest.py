"""What the tests of all plugins share here: each runs in a folder of its own, on one thread, with a fixed seed."""

import os

import pytest
import torch


@pytest.fixture(autouse=True)
def _clean_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIT_AUTOTUNE_")]:
        monkeypatch.delenv(name)
    torch.set_num_threads(1)
    torch.manual_seed(0)
