"""Runs on copies that reach the user's own module all the same."""

import pytest
import torch

from lit_autotune import ConfigError
from lit_autotune.copies.guard import Guard, LeakError
from support.models import Net, quiet_trainer
from support.tuning import tuned

KNOWN = {}


class Leaking(Net):
    """Computes with a module that is kept outside of any object that is copied: itself."""

    def __init__(self):
        super().__init__()
        KNOWN["module"] = self

    def training_step(self, batch, batch_idx):
        return Net.training_step(KNOWN["module"], batch, batch_idx)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_right_values_without_copies():
    """Where copies cannot be made, trials run on the very objects in a fork: right values, nothing touched."""
    module, plain = Leaking(), Net()
    plain.load_state_dict(module.state_dict())
    before = state(module)
    fields = {"use_learning_rate_tuning": True, "lr_num_training": 30, "lr_verify": False}
    losses = [tuned(one, **fields).learning_rate.curve.losses for one in (module, plain)]
    assert losses[0] == losses[1]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_batch_size_without_copies():
    """A search runs in forks from the first trial on."""
    module = Leaking()
    before = state(module)
    report = tuned(module, use_batch_size_tuning=True, batch_size_max=32, batch_size_target="largest", compare=False)
    assert report.batch_size.chosen == 32
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_refused_where_there_is_no_fork(monkeypatch):
    """On a device (here only pretended) tuning is refused, with the parameter's name, and nothing is changed."""
    monkeypatch.setattr("lit_autotune.trials.separate.can_fork", lambda device: False)
    module = Leaking()
    with pytest.raises(ConfigError, match=r"reached module\.network\.0\.weight of your own module"):
        tuned(module, use_learning_rate_tuning=True, lr_num_training=20)
    assert all(parameter.grad is None for parameter in module.parameters())
    assert module.lr == 1e-3


def test_buffers_are_put_back():
    """Statistics that a run has moved are as before, and gradients that were there stay."""
    module = torch.nn.BatchNorm1d(3)
    module.weight.grad = kept = torch.ones(3)
    guard = Guard(module)
    guard.check()
    module.weight.grad = None
    module(torch.randn(8, 3)).sum().backward()
    with pytest.raises(LeakError, match=r"module\.weight"):
        guard.check()
    assert module.weight.grad is kept
    assert int(module.num_batches_tracked) == 0
    assert not module.running_mean.any()
    guard.check()


def test_other_trainers_are_not_suspected():
    """A plain module is tuned on copies, in this process."""
    seen = []

    class Seen(Net):
        def training_step(self, batch, batch_idx):
            seen.append(self)
            return super().training_step(batch, batch_idx)

    module = Seen()
    tuned(module, trainer=quiet_trainer(), use_learning_rate_tuning=True, lr_num_training=20, lr_verify=False)
    assert seen
    assert module not in seen
