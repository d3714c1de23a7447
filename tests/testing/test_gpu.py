"""The checks that need a GPU, and that the code which runs them is in order where there is none."""

import pytest
import torch

from lit_autotune.testing.gpu.__main__ import CHECKS, main
from lit_autotune.testing.gpu.figures import Figure, run, table
from lit_autotune.testing.gpu.fit_checks import fits_are_bit_identical
from lit_autotune.testing.gpu.objects import tuned


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_on_a_gpu(check):
    """Nothing is other than it should be."""
    assert [figure for figure in run("cuda", [check]) if figure.is_met is False] == []


@pytest.mark.slow
def test_on_a_cpu():
    """The check that says something here, too."""
    figures = run("cpu", [fits_are_bit_identical])
    assert [figure.is_met for figure in figures] == [True, True]


@pytest.mark.parametrize("kind", ["CNN", "GPT", "U-Net"])
def test_the_models_are_tuned(kind):
    """Those that the checks use."""
    assert tuned("cpu", kind, use_batch_size_tuning=True, batch_size_max=4)[0].batch_size.chosen == 4


def test_a_check_that_fails_is_a_line(monkeypatch):
    """The others go on; those that are begun too late are named."""

    def fails(accelerator):
        raise ValueError("broken")

    def works(accelerator):
        yield Figure("one", "2", True)

    figures = run("cpu", [fails, works])
    assert figures == [Figure("fails", "ValueError: broken", False), Figure("one", "2", True)]
    assert "| one | 2 | as it should be |" in table("title", figures)
    assert run("cpu", [works], seconds=-1) == [Figure("works", "not run, the time is over")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_nothing_is_run(capsys):
    """And that is said."""
    assert main() == 0
    assert "no CUDA device" in capsys.readouterr().out
