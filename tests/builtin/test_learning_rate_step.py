"""What else the learning-rate step can do: schedules, races, longer ranges, repeats, a held-out loss."""

import math
from pathlib import Path
from statistics import median

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR, SequentialLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import ConfigError, LRSuggester, LRSuggestion, TunerConfig, TuningReport, hookimpl, tune
from lit_autotune.cli import main
from lit_autotune.curves.schedules import convert
from lit_autotune.planning.races import FACTOR, RUNS, lowering
from lit_autotune.range_test.sweeps import combine
from lit_autotune.registry.registry import Registry
from lit_autotune.types import LRCurve
from support import tuning
from support.models import Blobs, Net, RandomBlobs, RandomNet, blobs, quiet_trainer

RATES = tuple(10**-k for k in range(9, 0, -1))


FIELDS = {
    "use_learning_rate_tuning": True,
    "lr_min": 1e-5,
    "lr_num_training": 60,
    "lr_auto_extend": False,
    "lr_verify": False,
    "compare": False,
}


def tuned(*objects, **fields):
    return tuning.tuned(*objects, **{**FIELDS, **fields}).learning_rate


def suggestion_of(result):
    return next(answer for answer in result.suggestions if answer.suggester == result.suggester)


def answering(value, kind="constant"):
    """Arguments with which a rule is in use that always gives this value."""

    class Plugin:
        @hookimpl
        def lit_autotune_lr_suggesters(self):
            return [LRSuggester("always", lambda curve: value, "always the same", kind=kind)]

    registry = Registry.load()
    registry.register(Plugin(), "always")
    return {"registry": registry, "lr_suggester": "always"}


class Quadratic(Net):
    """Falls at any rate below 1, the faster the higher; explodes above 2. Remembers how its fits begin."""

    starts: list
    batches: list

    def training_step(self, batch, batch_idx):
        if self.training and self.trainer.global_step == 0:
            self.starts.append(self.network[0].weight.detach().clone())
            self.batches.append([])
        if self.training:
            self.batches[-1].append(batch[0])
        return (self.network[0].weight ** 2).sum() / 2 + 0 * self.network(batch[0]).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


@pytest.fixture(autouse=True)
def _forget():
    Quadratic.starts, Quadratic.batches = [], []


def scheduled(make, **settings):
    """A module whose scheduler ``make(optimizer, module)`` builds."""

    class Scheduled(Net):
        def __init__(self):
            super().__init__()
            for name, value in settings.items():
                setattr(self, name, value)

        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            return [optimizer], [make(optimizer, self)]

    return Scheduled()


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer, module: OneCycleLR(optimizer, max_lr=module.lr, total_steps=100),
        lambda optimizer, module: CyclicLR(optimizer, base_lr=1e-6, max_lr=module.lr, cycle_momentum=False),
        lambda optimizer, module: SequentialLR(
            optimizer, [OneCycleLR(optimizer, max_lr=module.lr, total_steps=100), StepLR(optimizer, 1)], [100]
        ),
    ],
    ids=["OneCycleLR", "CyclicLR", "within a SequentialLR"],
)
def test_a_peaked_schedule_gets_a_max_lr(make, recwarn):
    """Three times the constant rate is suggested and written to the setting that the scheduler reads."""
    module = scheduled(make)
    result = tuned(module)
    assert result.kind == "max_lr"
    assert result.chosen == module.lr == pytest.approx(3 * suggestion_of(result).value)
    assert (result.applied, result.places) == (True, ("module.lr",))
    assert not [warning for warning in recwarn if "overrides" in str(warning.message)]


def test_a_max_lr_with_a_setting_of_its_own_is_written_there():
    """Where the scheduler reads max_lr and the optimizer lr, the suggestion goes to max_lr, and lr stays."""
    module = scheduled(lambda optimizer, module: OneCycleLR(optimizer, module.max_lr, total_steps=100), max_lr=0.01)
    result = tuned(module)
    assert (result.places, result.old, result.kind) == (("module.max_lr",), 0.01, "max_lr")
    assert module.max_lr == result.chosen == pytest.approx(3 * suggestion_of(result).value)
    assert module.lr == 1e-3


def test_a_module_with_nothing_but_a_max_lr_is_tuned():
    """The guide's scheduler section names it; there need be no lr or learning_rate beside it."""

    class Peaked(Net):
        def __init__(self):
            super().__init__()
            del self.lr
            self.max_lr = 0.01

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters())
            return [optimizer], [OneCycleLR(optimizer, self.max_lr, total_steps=100)]

    module = Peaked()
    result = tuned(module)
    assert (result.places, result.old, result.kind) == (("module.max_lr",), 0.01, "max_lr")
    assert module.max_lr == result.chosen


def test_a_max_lr_that_cannot_be_written_is_reported():
    """A peak that no setting changes stays, and so does the optimizer's rate; the user is told."""
    module = scheduled(lambda optimizer, module: OneCycleLR(optimizer, max_lr=0.01, total_steps=100))
    with pytest.warns(UserWarning, match="OneCycleLR overrides the optimizer's learning rate"):
        result = tuned(module)
    assert (result.kind, result.applied, module.lr) == ("max_lr", False, 1e-3)


@pytest.mark.parametrize(("schedule", "factor"), [("auto", 1), ("constant", 1), ("one_cycle", 3)])
def test_lr_schedule_decides_without_a_peaked_scheduler(schedule, factor):
    """For a schedule that is not known, one_cycle asks for its peak."""
    result = tuned(Net(), lr_schedule=schedule)
    assert result.chosen == pytest.approx(factor * suggestion_of(result).value)


def test_lr_schedule_constant_overrules_the_scheduler():
    """With lr_schedule = "constant" OneCycleLR's max_lr gets the constant rate."""
    module = scheduled(lambda optimizer, module: OneCycleLR(optimizer, max_lr=module.lr, total_steps=100))
    result = tuned(module, lr_schedule="constant")
    assert (result.kind, module.lr) == ("constant", suggestion_of(result).value)


def test_a_rule_for_peaks_is_converted():
    """What a suggester says of the kind of its rates is heeded."""
    assert tuned(Net(), **answering(0.03, "max_lr")).chosen == pytest.approx(0.01)
    assert tuned(Net(), **answering(0.03, "max_lr"), lr_schedule="one_cycle").chosen == pytest.approx(0.03)


@given(st.floats(1e-12, 1e3), st.sampled_from(["constant", "max_lr"]), st.sampled_from(["constant", "max_lr"]))
def test_converting_there_and_back(value, kind, wanted):
    """Both ways together change nothing."""
    assert convert(convert(value, kind, wanted), wanted, kind) == pytest.approx(value)


def test_races_begin_alike_and_climb():
    """From the same weights on the same batches each; a rate half a step below the best is written."""
    module = Quadratic()
    start = module.network[0].weight.detach().clone()
    result = tuned(module, **answering(1e-3), lr_verify=True)
    assert (
        result.chosen
        == module.lr
        == pytest.approx(result.races[0].learning_rate * lowering(len(result.races[0].losses) / 32))
    )
    assert result.chosen > 1e-3
    assert len(result.races) == RUNS  # the best was at an edge
    _, first, *others = Quadratic.batches
    assert all(torch.equal(one, start) for one in Quadratic.starts)
    for batches in others:
        assert all(torch.equal(one, other) for one, other in zip(batches, first, strict=False))
    assert result.extra_steps == sum(len(heat.losses) for heat in result.races)
    assert [heat.score for heat in result.races] == sorted(heat.score for heat in result.races)


def test_a_race_that_diverges_is_stopped():
    """A rate that explodes neither trains to its end nor wins."""
    result = tuned(Quadratic(), **answering(1.2), lr_verify=True, trainer=quiet_trainer(max_epochs=16))
    lost = [heat for heat in result.races if heat.score == math.inf]
    assert [heat.learning_rate for heat in lost] == [pytest.approx(1.2 * FACTOR)]
    assert len(lost[0].losses) < 50 < len(result.races[0].losses)
    assert result.extra_steps == sum(len(heat.losses) for heat in result.races)
    assert result.chosen < 1.2


@pytest.mark.parametrize("old", [1e-3, None])
def test_races_that_all_diverge(old):
    """The present rate stays; without one the lowest that was raced is taken. Both with a warning."""
    with pytest.warns(UserWarning, match="all races diverged"):
        result = tuned(Quadratic(lr=old), **answering(1e5), lr_verify=True)
    assert result.chosen == (old or min(heat.learning_rate for heat in result.races))
    assert result.applied == (old is None)


@pytest.mark.parametrize(
    ("verify", "points", "expected"),
    [("auto", 60, False), ("auto", 20, True), (False, 20, False), (True, 60, True), ("true", 60, True)],
)
def test_when_races_are_run(verify, points, expected):
    """By default only where the suggestion is doubtful, here for too few points."""
    result = tuned(Net(), lr_verify=verify, lr_num_training=points, lr_max=100.0)
    assert (suggestion_of(result).quality == "doubtful") == (points == 20)
    assert bool(result.races) == expected


def test_races_are_shown(capsys):
    """The console has a line and a row for each."""
    config = TunerConfig(use_learning_rate_tuning=True, lr_min=1e-5, lr_verify=True, lr_num_training=40)
    result = tune(quiet_trainer(), Net(), Blobs(), config).learning_rate
    shown = capsys.readouterr().out
    for heat in result.races:
        assert shown.count(f"{heat.learning_rate:.2e}") >= 2
    assert "Races   " in shown


def test_details_do_not_call_a_missing_loss_nan(capsys):
    """The last batch of an epoch may be a small one, so that its loss does not count; nothing has diverged."""
    config = TunerConfig(use_learning_rate_tuning=True, lr_num_training=10, lr_auto_extend=False, is_debug=True)
    curve = tune(quiet_trainer(), Net(), Blobs(batch_size=16, samples=85), config).learning_rate.curve
    shown = capsys.readouterr().out
    assert sum(map(math.isnan, curve.losses)) == 1
    assert (shown.count("no loss"), "nan" in shown) == (1, False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"lr_min": 1e-6, "lr_max": 1e-3}, (1e-6, 1e-1)),
        ({"lr_min": 1e-3, "lr_max": 10.0, "module": "explodes"}, (1e-3, 10.0)),
        ({"lr_min": 1.5, "lr_max": 15.0, "module": "explodes"}, (1.5e-2, 15.0)),
        ({"lr_min": 1e-9, "lr_max": 1e-6}, (1e-9, 1e-4)),
        ({"lr_min": 1e-6, "lr_max": 1e-3, "lr_auto_extend": False}, (1e-6, 1e-3)),
        ({"lr_min": 1e-6, "lr_max": 1e-3, "lr_mode": "linear"}, (1e-6, 1e-3)),
    ],
    ids=["too low", "neither", "too high", "nothing moves", "not wanted", "linear"],
)
def test_a_range_that_is_too_short_is_extended_once(given, expected):
    """At the end where the loss is lowest, a hundred times, with rates as dense as before, from the same start."""
    fields = dict(given)
    module = Quadratic() if fields.pop("module", "") else Net()
    result = tuned(module, **{"lr_auto_extend": True, "lr_early_stop_threshold": None, **fields})
    rates = result.curve.learning_rates
    assert (rates[0], rates[-1]) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    if expected != (fields["lr_min"], fields["lr_max"]):
        before, after = (math.log10(high / low) for low, high in ((fields["lr_min"], fields["lr_max"]), expected))
        assert len(rates) == pytest.approx(1 + 59 * after / before, abs=0.5)
        assert 50 < result.extra_steps <= 60  # the sweep that was too short, which may have exploded
    else:
        assert (len(rates), result.extra_steps) == (60, 0)


@pytest.mark.parametrize(
    "loader",
    [{}, *({"samples": samples, "shuffle": False} for samples in (100, 480, 960, 1920)), "own generator"],
    ids=str,
)
def test_repeats_begin_alike_over_other_batches(loader):
    """Each sweep has the same start; at each step the batches differ, shuffled or not, even after whole epochs."""

    class OwnGenerator(Blobs):
        def train_dataloader(self):
            generator = torch.Generator().manual_seed(5)
            return DataLoader(self.data, batch_size=16, shuffle=True, generator=generator)

    module = Quadratic()
    result = tuned(module, OwnGenerator() if isinstance(loader, str) else Blobs(**loader), lr_num_repeats=3)
    assert len(Quadratic.batches) == len(result.curve.repeats) == 3
    assert all(torch.equal(start, module.network[0].weight) for start in Quadratic.starts)
    for batches in zip(*Quadratic.batches, strict=True):
        assert not any(torch.equal(batches[i], batches[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_repeats_are_combined_kept_and_drawn():
    """The curve is their median; all are in the report, and a band in the plot."""
    result = tuned(Net(), lr_num_repeats=3)
    curve = result.curve
    assert list(curve.losses) == pytest.approx([median(losses) for losses in zip(*curve.repeats, strict=True)])
    assert result.extra_steps == 2 * len(curve.losses)
    assert type(result).model_validate_json(result.model_dump_json()) == result
    labels = curve.plot(suggestion_of(result)).axes[0].get_legend_handles_labels()[1]
    assert {"all sweeps", "training loss of each step, median"} <= set(labels)
    curve.to_csv("curve.csv")
    rows = [row.split(",") for row in Path("curve.csv").read_text().splitlines()[1:]]
    assert [(float(rate), float(loss)) for rate, loss in rows] == list(
        zip(curve.learning_rates, curve.losses, strict=True)
    )


@given(st.lists(st.lists(st.floats(-10, 10) | st.just(math.nan), min_size=1, max_size=9), min_size=2, max_size=5))
def test_combining_sweeps(all_losses):
    """The median lies among the losses that are there; where most have diverged the curve ends."""
    sweeps = [
        LRCurve(learning_rates=RATES[: len(losses)], losses=losses, diverged=len(losses) < 9) for losses in all_losses
    ]
    curve = combine(sweeps)
    for step, loss in enumerate(curve.losses):
        there = [losses[step] for losses in all_losses if step < len(losses) and not math.isnan(losses[step])]
        assert math.isnan(loss) if not there else min(there) <= loss <= max(there)
    assert 1 <= len(curve.losses) <= max(map(len, all_losses))
    assert curve.diverged == (2 * sum(len(losses) < 9 for losses in all_losses) >= len(all_losses))


class Held(Net):
    """Validates in one of several ways."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 3))

    def validation_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        if self.way == "logs":
            self.log("acc/val", 0.5)
            self.log_dict({"val_loss": loss}, on_epoch=True)
        return {"returns": loss, "returns a table": {"loss": loss}}.get(self.way)


class HeldBlobs(Blobs):
    def val_dataloader(self):
        inputs, labels = blobs(64)
        return DataLoader(TensorDataset(inputs, labels), batch_size=32)


@pytest.mark.parametrize("way", ["returns", "returns a table", "logs", "does neither"])
def test_held_out_loss_is_that_of_a_validation_batch_after_each_step(way):
    """From what validation_step returns or logs, else from training_step in eval mode: the same number."""
    seen = []

    class Watching(Held):
        def optimizer_step(self, *args, **kwargs):
            super().optimizer_step(*args, **kwargs)
            inputs, labels = (part[:32] for part in blobs(64))
            with torch.no_grad():
                hidden = self.network[2](self.network[0](inputs))  # eval mode: without dropout
                seen.append(F.cross_entropy(hidden, labels).item())

    curve = tuned(Watching(way), HeldBlobs(), lr_monitor="val").curve
    assert curve.losses == pytest.approx(seen)
    assert curve.plot(LRSuggestion(suggester="by hand", value=1e-3)).axes[0].get_ylabel() == "loss (val)"


def test_held_out_loss_leaves_no_trace_in_the_training():
    """With dropout, BatchNorm, a random data set and metrics: training goes as without it, bit for bit."""
    losses = {}

    class Watching(RandomNet):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            assert all(part.training for part in self.modules())
            losses.setdefault(self.way, []).append(outputs["loss"].item())

    for way in (None, "val"):
        torch.manual_seed(0)
        module = Watching()
        module.way = way
        tuned(module, RandomBlobs(), lr_monitor=way, lr_early_stop_threshold=None)
    assert len(losses[None]) == 60
    assert losses[None] == losses["val"]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_held_out_loss_with_manual_optimization(precision):
    """In the midst of a step of the user's own, the weights after the optimizer's step count."""
    seen = []

    class Manual(Net):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.optimizers().zero_grad()
            self.manual_backward(loss)
            self.optimizers().step()

        def validation_step(self, batch, batch_idx):
            return F.cross_entropy(self.network(batch[0]), batch[1])

        def on_train_batch_end(self, outputs, batch, batch_idx):
            with torch.no_grad(), self.trainer.precision_plugin.forward_context():
                seen.append(self.validation_step([part[:32] for part in blobs(64)], 0).item())

    curve = tuned(Manual(), HeldBlobs(), quiet_trainer(precision=precision), lr_monitor="val", lr_max=0.1).curve
    assert curve.losses == pytest.approx(seen, rel=1e-6)


class Empty(Blobs):
    def val_dataloader(self):
        return []


class Lossless(RandomNet):
    def validation_step(self, batch, batch_idx):
        self.log("accuracy", 0.5)


@pytest.mark.parametrize(
    ("module", "data", "message"),
    [
        (Net, Blobs, "there is no val_dataloader"),
        (lambda: Held("returns"), Empty, "val_dataloader gives no batch"),
        (lambda: Lossless(manual=True), RandomBlobs, "validation_step neither returns nor logs a loss"),
    ],
    ids=["no loader", "no batch", "no loss"],
)
def test_held_out_loss_that_cannot_be_had(module, data, message):
    """It is a one-line error that says what to do."""
    with pytest.raises(ConfigError, match=message):
        tuned(module(), data(), lr_monitor="val")


def test_a_saved_report_holds_all_and_is_read_again(capsys):
    """Repeats, races and their infinite scores survive the file, and other rules read the curve in it."""
    arguments = answering(1.2)
    config = TunerConfig(
        use_learning_rate_tuning=True,
        lr_suggester=arguments["lr_suggester"],
        lr_min=1e-5,
        lr_num_training=40,
        lr_num_repeats=2,
        lr_verify=True,
        verbose=False,
    )
    report = tune(quiet_trainer(max_epochs=16), Quadratic(), Blobs(), config, registry=arguments["registry"])
    assert any(heat.score == math.inf for heat in report.learning_rate.races)
    Path("report.json").write_text(report.model_dump_json())
    assert TuningReport.model_validate_json(Path("report.json").read_text()) == report
    assert main(["suggest", "report.json", "--suggester", "valley", "--plot", "again.png"]) == 0
    assert "* valley" in capsys.readouterr().out
    assert Path("again.png").stat().st_size > 10_000
