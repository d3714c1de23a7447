"""What is left of a tuning that fails: what was found, a short traceback, the objects as they were."""

import traceback

import pytest
import torch

from lit_autotune import TuningError, TuningReport
from support.models import AS_FOUND, Blobs, Net, quiet_trainer
from support.tuning import BOTH, tuned

FIELDS = {**AS_FOUND, **BOTH, "batch_size_max": 64, "lr_num_training": 20, "save_plot": False}


class Fragile(Net):
    """Works in trials and in the first steps of a range test; fails later, in a function of its own."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def training_step(self, batch, batch_idx):
        if self.trainer.optimizers[0].param_groups[0]["lr"] > 1e-4 and len(batch[1]) == 64:
            self.fail()
        return super().training_step(batch, batch_idx)

    def fail(self):
        raise self.error

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=min(self.lr, 1e-4))


class Rising(Net):
    """No suggester has an answer."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * 0 + self.global_step


@pytest.mark.parametrize(
    ("error", "is_ours"), [(ZeroDivisionError("mine"), False), (KeyboardInterrupt(), False), (None, True)]
)
def test_a_later_step_that_fails_loses_nothing(error, is_ours):
    """The error carries the report of what was found before; nothing of it is written."""
    module, data = Rising() if is_ours else Fragile(error), Blobs()
    with pytest.raises(TuningError if is_ours else type(error)) as caught:
        tuned(module, data, **{**FIELDS, "update_model_lr": is_ours})
    report = caught.value.report
    assert isinstance(report, TuningReport)
    assert (report.batch_size.chosen, report.learning_rate) == (64, None)
    assert any("batch size 64" in note for note in caught.value.__notes__)
    assert (data.batch_size, module.lr) == (16, 1e-3)


class Failing(Net):
    def training_step(self, batch, batch_idx):
        return self.compute()

    def compute(self):
        raise ZeroDivisionError("mine")


@pytest.mark.parametrize("is_debug", [False, True])
def test_a_users_traceback_is_short(is_debug):
    """Their own frames are shown, Lightning's and ours are not, but for debugging."""
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        tuned(Failing(), use_batch_size_tuning=True, is_debug=is_debug)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["training_step", "compute"]
    assert ("_run_steps" in names) == is_debug
    assert ("advance" in names) == is_debug


class Gan(Net):
    """Manual optimization; nothing is returned."""

    calls: list

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.calls.append(len(batch[1]))
        loss = super().training_step(batch, batch_idx)
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("loss_d", loss)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({}, "name a logged value with lr_monitor"), ({"lr_monitor": "los_d"}, "does not log it")],
)
def test_what_can_be_known_early_is_refused_early(fields, message):
    """A loss that is nowhere is seen in a few steps, before any trial."""
    Gan.calls = []
    with pytest.raises(Exception, match=message):
        tuned(Gan(), **{**FIELDS, **fields})
    assert set(Gan.calls) == {2}
    assert len(Gan.calls) <= 5


def test_an_optimizer_that_never_steps_is_refused_early():
    """It is seen before any trial; one that only takes its time is waited for."""

    class Slow(Gan):
        def training_step(self, batch, batch_idx):
            self.calls.append(len(batch[1]))
            return

    Gan.calls = []
    with pytest.raises(TuningError, match="no optimizer step"):
        tuned(Slow(), **FIELDS)
    assert set(Gan.calls) == {2}
    assert len(Gan.calls) >= 10 * FIELDS["lr_num_training"]


def test_a_range_test_longer_than_the_training_is_said_at_once_and_once(capsys):
    """Before the trials, and not again before the sweep."""
    tuned(Net(), Blobs(), quiet_trainer(max_epochs=1), **{**FIELDS, "verbose": True, "batch_size_max": 16})
    out = capsys.readouterr().out
    assert out.count("the whole training only 16") == 1
    assert out.index("the whole training only 16") < out.index("BATCH SIZE TUNING")


def test_the_first_steps_leave_errors_of_a_size_to_the_search():
    """A batch too small for the module is no reason to refuse the range test."""

    class Hardest(Net):
        def training_step(self, batch, batch_idx):
            assert len(batch[1]) >= 5
            return super().training_step(batch, batch_idx)

    with pytest.warns(UserWarning, match="cannot be used"):
        assert tuned(Hardest(), **FIELDS).batch_size.largest == 64
