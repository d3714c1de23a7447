"""Do no harm, and prove the gain: what replaces the user's values was compared with them."""

import math
import time

import pytest
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR, StepLR
from torch.utils.data import DataLoader, Subset, TensorDataset

from lit_autotune import LRSuggester, Tuner, TuningReport, hookimpl
from lit_autotune.planning import preview as limits
from lit_autotune.registry.registry import Registry
from support import tuning
from support.models import Blobs, Net, blobs, quiet_trainer

RATE = {"use_learning_rate_tuning": True, "lr_min": 1e-5, "lr_num_training": 40, "lr_verify": False, "verbose": False}


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch):
    """Previews go through half of the training, also on a loaded machine."""
    monkeypatch.setattr(limits, "SECONDS", 60.0)


def tuned(module, data=None, trainer=None, suggestion=None, **fields):
    """Tune, by default the rate alone; with a suggestion by a rule that always gives it."""
    registry = Registry.load()
    if suggestion:

        class Plugin:
            @hookimpl
            def lit_autotune_lr_suggesters(self):
                return [LRSuggester("always", lambda curve: suggestion, "always the same")]

        registry.register(Plugin(), "always")
        fields = {"lr_suggester": "always", **fields}
    trainer = trainer or quiet_trainer(max_epochs=8)
    return tuning.tuned(module, data or Validated(), trainer, registry=registry, **{**RATE, **fields})


class Validated(Blobs):
    """Training and validation data."""

    def setup(self, stage):
        inputs, labels = blobs(self.samples + 64)
        self.data, self.val = TensorDataset(inputs[64:], labels[64:]), TensorDataset(inputs[:64], labels[:64])

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=self.batch_size)


class ValidatedNet(Net):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.network(batch[0]), batch[1]))


def test_a_rate_that_is_much_too_low_is_rescued():
    """The comparison shows by how much, and the new rate is written."""
    module = ValidatedNet(lr=1e-5)
    report = tuned(module)
    present, *others = report.comparison.values
    best = next(values for values in others if values.name == report.comparison.applied)
    assert (present.name, present.learning_rate) == ("present", 1e-5)
    assert best.loss < present.loss / 2
    assert "better than the present values" in report.comparison.verdict
    assert module.lr == report.learning_rate.chosen == best.learning_rate > 1e-3
    assert report.learning_rate.applied
    assert report.comparison.judge == "validation batches"


@pytest.mark.parametrize("suggestion", [30.0, 1e-7], ids=["too high", "too low"])
def test_a_rate_that_works_is_not_replaced_by_one_that_trains_worse(suggestion):
    """The old value stays, and the report says so; the suggestion is there to be looked at."""
    module = ValidatedNet(lr=1e-2)
    report = tuned(module, suggestion=suggestion)
    assert module.lr == report.learning_rate.chosen == 1e-2
    assert (report.learning_rate.applied, report.learning_rate.suggested) == (False, suggestion)
    assert report.comparison.applied == "present"
    assert report.comparison.verdict.startswith("The present values stay, ")
    assert TuningReport.model_validate_json(report.model_dump_json()) == report


def test_a_tie_is_won_by_the_present_rate():
    """A rate that is as good is no reason to change it."""
    module = ValidatedNet(lr=1e-2)
    report = tuned(module, suggestion=1.02e-2)
    assert module.lr == 1e-2
    assert [values.verdict for values in report.comparison.values] == ["", "as good"]


def test_nothing_to_compare_with():
    """Without a present rate there is nothing to harm; the report says so, and nothing is run for it."""
    report = tuned(ValidatedNet(lr=None), suggestion=1e-2)
    assert report.comparison.verdict == "nothing to compare with"
    assert (report.comparison.values, report.comparison.steps) == ((), 0)
    assert report.learning_rate.applied


def test_not_compared_if_not_wanted():
    """The suggestion is written as it is."""
    module = ValidatedNet(lr=1e-2)
    report = tuned(module, suggestion=1e-7, compare=False)
    assert report.comparison is None
    assert module.lr == 1e-7


def test_nothing_that_works_is_replaced_unverified(monkeypatch):
    """Where previews would take too long, the present rate stays, and what to do about it is said."""
    for name in ("SECONDS", "LEAST_SECONDS", "MOST_SECONDS"):
        monkeypatch.setattr(limits, name, 0.0)
    module = ValidatedNet(lr=1e-4)
    report = tuned(module, lr_num_training=40, lr_min=1e-6, lr_max=10.0)
    assert report.comparison.verdict.startswith("not compared: previews of enough steps would take too long")
    assert "verify_budget" in report.comparison.verdict
    assert report.learning_rate.suggested != 1e-4
    assert report.learning_rate.chosen == module.lr == 1e-4
    assert not report.learning_rate.applied


def test_slow_steps_are_compared_in_no_more_of_them_than_a_range_test_takes(monkeypatch):
    """Twenty of them for each: a comparison of few steps is better than none."""
    monkeypatch.setattr(limits, "SECONDS", 0.0)
    monkeypatch.setattr(limits, "LEAST_SECONDS", 0.0)
    module = ValidatedNet(lr=1e-4)
    report = tuned(module, suggestion=1e-2, lr_auto_extend=False)
    assert [values.steps for values in report.comparison.values] == [limits.LEAST_STEPS] * 3
    rates = [values.learning_rate for values in report.comparison.values]
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2])  # the one between stands for trainings that are longer
    assert report.comparison.applied != "present"


@pytest.mark.parametrize("cause", ["scoring", "training"])
def test_memory_that_runs_out_in_previews_changes_nothing(cause):
    """The present values stay if no values can be compared; the tuning goes on."""

    class Hungry(ValidatedNet):
        is_scored = False

        def training_step(self, batch, batch_idx):
            if self.is_scored:
                raise MemoryError
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            if cause == "scoring":
                raise MemoryError
            self.is_scored = True
            super().validation_step(batch, batch_idx)

    module = Hungry(lr=1e-4)
    report = tuned(module, suggestion=1e-2, lr_auto_extend=False)
    assert report.comparison.applied == "present"
    assert module.lr == 1e-4


def test_previews_are_alike():
    """From the same weights, for as many samples, scored on the same validation samples; the user's are not touched."""
    starts, trained, scored = [], [], []

    class Noting(ValidatedNet):
        def training_step(self, batch, batch_idx):
            if self.trainer.global_step == 0:
                starts.append(self.network[0].weight.detach().clone())
                trained.append(0)
                scored.append([])
            trained[-1] += len(batch[1])
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            if scored:
                scored[-1].append(batch[0])
            super().validation_step(batch, batch_idx)

    module = Noting(lr=1e-2)
    start = module.network[0].weight.detach().clone()
    report = tuned(module, suggestion=1e-4, lr_auto_extend=False)
    count = len(report.comparison.values)
    assert all(torch.equal(one, start) for one in [module.network[0].weight, *starts])
    assert len(set(trained[-count:])) == 1
    seen = [torch.cat(batches[-4:]) for batches in scored[-count:]]
    assert all(torch.equal(one, seen[0]) for one in seen)
    assert torch.equal(seen[0], blobs(320)[0][:64])  # all of them, in their order


def test_without_validation_batches_some_training_samples_are_kept_aside():
    """No preview trains on what it is scored on, and a tenth of the data at the most is kept aside."""
    trained, scored = set(), set()

    class Noting(Net):
        def training_step(self, batch, batch_idx):
            keys = {tuple(row.tolist()) for row in batch[0]}
            if self.training:
                if self.trainer.global_step == 0:
                    trained.clear()
                trained.update(keys)
            else:
                scored.update(keys)
            return super().training_step(batch, batch_idx)

    report = tuned(Noting(lr=1e-2), Blobs(samples=256), suggestion=1e-3)
    assert report.comparison.judge == "training batches"
    assert 20 <= len(scored) <= 26
    assert not trained & scored


class Rates(ValidatedNet):
    """Notes the rate of each step, and how its training goes on."""

    noted: list

    def training_step(self, batch, batch_idx):
        if self.trainer.global_step == 0:
            self.noted.append([])
        self.noted[-1].append(self.optimizers().param_groups[0]["lr"])
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("kind", ["per step", "per epoch"])
def test_previews_go_through_the_whole_schedule(kind):
    """Up to the peak and down again, in the steps that a preview has; a decay of each epoch as often as planned."""

    class Scheduled(Rates):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            if kind == "per epoch":
                return [optimizer], [StepLR(optimizer, 2, gamma=0.1)]
            steps = self.trainer.estimated_stepping_batches
            schedule = OneCycleLR(optimizer, self.lr, total_steps=steps)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    Scheduled.noted = []
    tuned(Scheduled(lr=1e-2), suggestion=1e-3)
    rates = Scheduled.noted[-1]
    assert len(rates) == 64  # half of 128
    if kind == "per step":
        peak = max(rates)
        assert rates.index(peak) == pytest.approx(0.3 * len(rates), abs=2)
        assert rates[-1] < peak / 100
    else:
        # Of eight epochs' decays all but the last, which comes after the last step, have been.
        assert [rates[0] / rate for rate in rates[::16]] == pytest.approx([1, 10, 100, 1000])


class Clock:
    """Stands for the clock of a machine that does nothing else; it goes on with each step, and not otherwise."""

    now = 0.0

    def __call__(self):
        return self.now


CLOCK = Clock()


@pytest.fixture
def steady(monkeypatch):
    """Have times not depend on the machine's load."""
    monkeypatch.setattr(time, "perf_counter", CLOCK)


class PerStep(ValidatedNet):
    """Each step takes the same time, however many samples it has."""

    def training_step(self, batch, batch_idx):
        CLOCK.now += 0.01
        return super().training_step(batch, batch_idx)


BOTH = {"use_batch_size_tuning": True, "batch_size_max": 32, "lr_num_training": 30}


@pytest.mark.usefixtures("steady")
def test_a_larger_batch_that_is_as_good_is_taken():
    """It is faster; the report has the seconds of an epoch side by side."""
    module, data = PerStep(lr=1e-2), Validated(batch_size=16, samples=1000)
    report = tuned(module, data, quiet_trainer(max_epochs=10), **BOTH, suggestion=1.1e-2)
    values = {one.name: one for one in report.comparison.values}
    assert report.comparison.applied == "new"
    assert data.batch_size == report.batch_size.chosen == 32
    assert module.lr == report.learning_rate.chosen
    assert values["new"].seconds_per_epoch == pytest.approx(values["present"].seconds_per_epoch / 2, rel=0.05)
    assert values["new"].steps_per_epoch < values["present"].steps_per_epoch


class Hasty(PerStep):
    """Learns nothing from large batches."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss if len(batch[1]) <= 16 or not self.trainer.training else 0 * loss + 1


@pytest.mark.usefixtures("steady")
def test_a_larger_batch_that_trains_worse_is_not_taken():
    """The present size stays, with a rate of its own; the largest that fits is reported all the same."""
    module, data = Hasty(lr=1e-5), Validated(batch_size=16, samples=1000)
    report = tuned(module, data, quiet_trainer(max_epochs=10), **BOTH, suggestion=1e-2)
    assert data.batch_size == report.batch_size.chosen == 16
    assert report.batch_size.largest == 32
    assert report.comparison.applied in ("new rate", "lower rate")
    assert module.lr == report.learning_rate.chosen > 1e-3
    assert "is worse" in report.comparison.verdict


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize(
    ("target", "compare", "expected"),
    [("largest", "auto", 32), ("largest", True, 16), ("largest", False, 32), ("auto", False, 32)],
)
def test_what_was_asked_for_by_name_is_put_in_question_only_on_request(target, compare, expected):
    """The largest size, though it trains worse: by default that is what the user wanted."""
    module, data = Hasty(lr=1e-2), Validated(batch_size=16, samples=1000)
    fields = {**BOTH, "use_learning_rate_tuning": False, "batch_size_target": target, "compare": compare}
    report = tuned(module, data, quiet_trainer(max_epochs=10), **fields)
    assert data.batch_size == report.batch_size.chosen == expected
    assert report.batch_size.largest == 32
    assert module.lr == 1e-2


@pytest.mark.usefixtures("steady")
def test_the_batch_size_alone_is_compared_at_the_present_rate():
    """The module keeps its rate in both."""

    module, data = Hasty(lr=1e-2), Validated(batch_size=16, samples=1000)
    report = tuned(module, data, quiet_trainer(max_epochs=10), **{**BOTH, "use_learning_rate_tuning": False})
    assert [values.name for values in report.comparison.values] == ["present", "new size"]
    assert data.batch_size == 16
    assert report.comparison.applied == "present"
    assert report.comparison.verdict.startswith("The present values stay")


class FewAtTheEnd(Blobs):
    """354 samples in batches of 32: the last batch has two, with labels that nothing can predict."""

    def __init__(self):
        super().__init__(batch_size=32, samples=354, shuffle=False)

    def setup(self, stage):
        inputs, labels = blobs(354)
        inputs[-2:] *= 40
        self.data = TensorDataset(inputs, labels)


def test_small_batches_say_nothing_about_divergence():
    """The high loss of an epoch's last two samples neither ends the sweep nor the races."""
    report = tuned(Net(lr=1e-3), FewAtTheEnd(), lr_min=1e-8, lr_verify=True, compare=False, lr_num_training=100)
    curve = report.learning_rate.curve
    assert curve.learning_rates[-1] > 1e-2
    assert curve.learning_rates[0] == pytest.approx(1e-8)
    assert any(math.isnan(loss) for loss in curve.losses)
    assert all(math.isfinite(heat.score) for heat in report.learning_rate.races)
    assert report.learning_rate.chosen > 1e-4


def test_where_every_race_diverges_the_old_rate_stays():
    """It is not replaced by some fraction of a rate that diverged."""

    class Exploding(Net):
        def training_step(self, batch, batch_idx):
            return (self.network[0].weight ** 2).sum() / 2

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    module = Exploding(lr=0.1)
    with pytest.warns(UserWarning, match="all races diverged; 1.00e-01 stays"):
        report = tuned(module, suggestion=1e6, lr_verify=True)
    assert module.lr == report.learning_rate.chosen == 0.1
    assert not report.learning_rate.applied


def test_lightnings_interface_keeps_to_the_largest():
    """It compares nothing, as its users expect, and warns of few steps."""
    module, data = Net(), Blobs(batch_size=16)
    with pytest.warns(UserWarning, match="batch size 64 leaves 4 optimizer steps an epoch"):
        assert Tuner(quiet_trainer()).scale_batch_size(module, datamodule=data, max_val=64) == 64
    assert data.batch_size == 64


def test_the_comparison_is_shown(capsys):
    """As a table, with what is applied marked, and in one line."""
    report = tuned(ValidatedNet(lr=1e-5), verbose=True)
    shown = capsys.readouterr().out
    assert "Training to come: 128 optimizer steps in 8 epochs of 16" in shown
    assert f"✓ {report.comparison.verdict}" in shown
    assert "Comparison: previews of 50% of the training, scored on validation batches" in shown
    table = shown[shown.index("Comparison: previews") :].splitlines()
    assert any(line.split()[:1] == ["present"] for line in table)
    assert any("applied" in line for line in table)


def test_validation_samples_are_taken_from_all_over_the_data():
    """Sorted validation data, of which the first batches hold one class only, are scored evenly."""
    seen = []

    class Sorted(Validated):
        def val_dataloader(self):
            labels = self.val.tensors[1]
            many = torch.argsort(labels).repeat_interleave(20)
            return DataLoader(Subset(self.val, many.tolist()), batch_size=32)

    class Noting(ValidatedNet):
        def validation_step(self, batch, batch_idx):
            seen.append(batch[1])
            super().validation_step(batch, batch_idx)

    tuned(Noting(lr=1e-2), Sorted(), suggestion=1e-3)
    scored = torch.cat(seen[:10])
    shares = torch.bincount(scored, minlength=3) / len(scored)
    expected = torch.bincount(blobs(320)[1][:64], minlength=3) / 64
    assert torch.allclose(shares, expected, atol=0.02)


@pytest.mark.parametrize("way", ["needs its epoch's start", "manual optimization", "several loaders"])
def test_modules_whose_validation_is_special(way):
    """What cannot be scored outside of a fit's loops is judged by its training losses; it is no error."""

    class Special(ValidatedNet):
        def __init__(self):
            super().__init__(lr=1e-5)
            self.automatic_optimization = way != "manual optimization"

        def on_validation_epoch_start(self):
            self.seen = []

        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            if not self.automatic_optimization:
                self.optimizers().zero_grad()
                self.manual_backward(loss)
                self.optimizers().step()
            return loss

        if way == "several loaders":

            def validation_step(self, batch, batch_idx, dataloader_idx):
                super().validation_step(batch, batch_idx)
        else:

            def validation_step(self, batch, batch_idx):
                if way == "needs its epoch's start":
                    self.seen.append(batch_idx)

    class Data(Validated):
        def val_dataloader(self):
            loader = super().val_dataloader()
            return [loader, loader] if way == "several loaders" else loader

    module = Special()
    report = tuned(module, Data())
    assert report.comparison.judge == ("validation batches" if way == "several loaders" else "training losses")
    assert module.lr == report.learning_rate.chosen > 1e-3
