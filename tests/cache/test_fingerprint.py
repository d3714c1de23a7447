"""What a fingerprint tells apart, and what it does not."""

import functools
import math
import pathlib
import subprocess
import sys

import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler, ModelCheckpoint

from lit_autotune import TunerConfig
from lit_autotune.cache.fingerprint import describe, fingerprint
from lit_autotune.cache.store import differences
from lit_autotune.copies.sandbox import Sandbox
from support.models import Blobs, Net, quiet_trainer


def taken(module=None, data=None, trainer=None, plugins=None, **fields):
    sandbox = Sandbox(trainer or quiet_trainer(), module or Net(), data or Blobs())
    try:
        return fingerprint(sandbox, TunerConfig(**fields), {}, plugins or {})
    finally:
        sandbox.close()


class Wide(Net):
    """A class of another name."""


def frozen():
    module = Net()
    module.network[0].requires_grad_(False)
    return module


def with_dropout(share):
    module = Net()
    module.network[1] = torch.nn.Dropout(share)
    return module


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (lambda: taken(Net(lr=0.1)), "module: lr was 0.001, is 0.1"),
        (lambda: taken(Net(width=8)), "module: parameters was"),
        (lambda: taken(Wide()), "module: class"),
        (lambda: taken(frozen()), "module: parameters"),
        (lambda: taken(with_dropout(0.2)), "module: layers"),
        (lambda: taken(data=Blobs(batch_size=8)), "datamodule: batch_size was 16, is 8"),
        (lambda: taken(data=Blobs(samples=300)), "data: training samples changed"),
        (lambda: taken(data=Blobs(drop_last=True)), "datamodule: loader_arguments changed"),
        (
            lambda: taken(trainer=quiet_trainer(accumulate_grad_batches=2)),
            "Trainer: accumulate_grad_batches was nothing, is 2",
        ),
        (
            lambda: taken(trainer=quiet_trainer(precision="bf16-mixed")),
            'Trainer: precision was "32-true", is "bf16-mixed"',
        ),
        (lambda: taken(trainer=quiet_trainer(max_epochs=7)), "Trainer: max_epochs was 2, is 7"),
        (lambda: taken(lr_min=1e-6), "settings: lr_min was 1e-08, is 1e-06"),
        (lambda: taken(options={"mine": {"a": 1}}), "settings: options changed"),
        (lambda: taken(plugins={"their-plugin": "2.0"}), 'versions: their-plugin was nothing, is "2.0"'),
    ],
)
def test_what_matters_is_a_difference(other, told):
    """Each is named."""
    found = differences(taken(), other())
    assert any(text.startswith(told) for text in found), found


def test_what_does_not_matter_is_none():
    """Other weights, what was drawn before, what is printed and where plots go."""
    one = taken()
    torch.rand(3)
    assert differences(one, taken(verbose=False, is_debug=True, lr_plot_path="a.png", cache=True)) == []


def test_callbacks_of_which_a_trial_runs_nothing_do_not_matter(tmp_path):
    """The folder of a checkpoint often has the time in its name; how gradients are accumulated matters."""
    one, other = (
        quiet_trainer(enable_checkpointing=True, callbacks=[ModelCheckpoint(tmp_path / name)]) for name in "ab"
    )
    assert differences(taken(trainer=one), taken(trainer=other)) == []
    one, other = (quiet_trainer(callbacks=[GradientAccumulationScheduler({0: number})]) for number in (2, 4))
    assert differences(taken(trainer=one), taken(trainer=other))


@pytest.mark.slow
def test_another_process_takes_the_same(tmp_path):
    """With hashes seeded otherwise, and at other addresses in memory."""
    script = (
        f"import sys, json; sys.path.insert(0, {str(pathlib.Path(__file__).parents[1])!r})\n"
        "from cache.test_fingerprint import taken; print(json.dumps(taken(), sort_keys=True))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, text=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != "", runs[0].stderr


def test_changed_code_is_a_difference(tmp_path, monkeypatch):
    """Also that of a file which the module's only imports."""
    (tmp_path / "helper_of_mine.py").write_text("LOSS = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import helper_of_mine  # noqa: F401

    before = taken()
    (tmp_path / "helper_of_mine.py").write_text("LOSS = 2\n")
    found = differences(before, taken())
    sys.modules.pop("helper_of_mine")
    assert len(found) == 1
    assert "helper_of_mine.py" in found[0]


def test_a_class_that_is_in_no_file_is_told_by_its_code():
    """As in a notebook or an interactive session."""
    sources = ["def f(self): return 1", "def f(self): return 2"]
    found = []
    for source in sources:
        space = {"__name__": "no_file", "Net": Net}
        exec(f"class Mine(Net):\n    {source}", space)  # - a class without a file
        sys.modules["no_file"] = type(sys)("no_file")
        found.append(taken(space["Mine"]()))
    sys.modules.pop("no_file")
    assert differences(*found)
    assert all("Mine" in text for text in differences(*found))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (math.inf, "inf"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (torch.zeros(2, 3), "torch.Tensor torch.Size([2, 3]) torch.float32"),
        (Net, "support.models.Net"),
        ({"a": (1, 2.5)}, {"length": 1, "a": [2, 1, 2.5]}),
        (object(), "<object object at 0x>"),
    ],
)
def test_values_are_described_without_addresses(value, told):
    """As JSON."""
    assert describe(value) == told


def test_a_partial_is_described_by_what_it_holds():
    """Its function and its arguments."""
    one, other = (describe(functools.partial(torch.optim.SGD, lr=lr)) for lr in (0.1, 0.2))
    assert one != other
