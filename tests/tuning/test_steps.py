"""Steps of plugins: what they can do, and what they cannot do to the user."""

import random
import types

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from lit_autotune import BatchSizeStrategy, ConfigError, PluginError, TuningStep, UnknownNameError, hookimpl
from lit_autotune.registry.registry import Registry
from lit_autotune.report.results import TuningReport
from support.command import autotune
from support.models import AS_FOUND, Blobs, Net, quiet_trainer
from support.tuning import tuned


def registry_with(*steps):
    """All built-in plugins, and one with some steps."""
    plugin = types.ModuleType("of_a_plugin")
    plugin.lit_autotune_steps = hookimpl(lambda: list(steps), specname="lit_autotune_steps")
    registry = Registry.load()
    registry.register(plugin, "mine")
    return registry


def ran(run, module=None, data=None, trainer=None, name="mine", step=None, **fields):
    """The report of a tuning with one step that does this."""
    registry = registry_with(TuningStep(name, run, "a step", **(step or {})))
    return tuned(module or Net(), data, trainer, registry=registry, **{"steps": [name], **fields})


def test_it_reads_what_was_found_before():
    """Results and all trials of the steps before it, and the objects that have them."""

    def run(context, plan):
        size = context.results["batch_size"]
        return {"chosen": size.chosen, "tried": [trial.batch_size for trial in size.trials], "lr": context.module.lr}

    report = ran(run, use_batch_size_tuning=True, batch_size_max=8, **AS_FOUND)
    assert report.steps["mine"] == {"chosen": 8, "tried": [2, 4, 8], "lr": 1e-3}


def test_it_trains_copies():
    """Losses and times of some steps with other values; what it looks at after each backward pass comes back."""

    def run(context, plan):
        size = context.find_batch_size()
        norm = lambda module: float(module.network[0].weight.grad.norm())  # noqa: E731
        trained = context.train(5, {size: 32, context.setting("trainer.accumulate_grad_batches"): 2}, norm)
        return trained.losses, trained.samples, trained.seen, trained.seconds, trained.waited

    module = Net()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    losses, samples, seen, seconds, waited = ran(run, module).steps["mine"]
    assert (len(losses), samples, len(seen), len(seconds), len(waited)) == (5, 32, 10, 5, 9)
    assert all(later > earlier for earlier, later in zip(seen[::2], seen[1::2], strict=True))  # gradients add up
    assert min(seconds) > 0
    assert min(waited) >= 0
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_it_tries_a_batch_size():
    """What the search has tried is known; anything else is run, and the data's end is seen."""

    def run(context, plan):
        return [context.trial(size).outcome for size in (8, 12, 300)], context.trial(12).batch_size

    report = ran(run, use_batch_size_tuning=True, batch_size_max=8, **AS_FOUND)
    assert report.steps["mine"] == (["fits", "fits", "too_little_data"], 12)


def test_it_searches():
    """The largest size that fits, with a strategy of its own or the user's, told of each trial."""

    def run(context, plan):
        plan, budget, told = context.plan_search(context.find_batch_size()), context.memory_budget(), []
        mine = BatchSizeStrategy("odd", sizes, "odd sizes")
        largest, trials = context.search(plan, budget, mine, on_trial=lambda trial: told.append(trial.batch_size))
        return largest, [trial.batch_size for trial in trials], told, context.search(plan, budget)[0], plan.data_hold

    def sizes(space):
        for size in (1, 3, 7):
            trial = yield size
            assert trial.fits

    assert ran(run, batch_size_max=8).steps["mine"] == (7, [1, 3, 7], [1, 3, 7], 8, 256)


def test_it_runs_range_tests():
    """As the settings say at any batch size, or over rates of its own; and asks the rules what they say of a curve."""

    def run(context, plan):
        test = context.range_test({context.find_batch_size(): 32})
        own = context.range_test(rates=[1e-3, 1e-2, 1e-1])
        answers = context.suggest(test.curve)
        return {
            "steps": (test.steps, own.steps),
            "seconds": (test.step_seconds, own.step_seconds),
            "rates": own.curve.learning_rates,
            "answers": {answer.suggester: answer.value for answer in answers},
            "mine": context.suggester.name,
        }

    found = ran(run, lr_num_training=20, lr_suggester="steepest", lr_early_stop_threshold=None).steps["mine"]
    assert found["steps"] == (20, 3)
    assert min(found["seconds"]) > 0
    assert found["rates"] == (1e-3, 1e-2, 1e-1)
    assert 1e-6 <= found["answers"][found["mine"]] <= 1


def test_it_sees_the_rates_of_a_schedule():
    """Those of a look are its highest; a few steps can go through the whole of it."""

    class Cosine(Net):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.estimated_stepping_batches)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def run(context, plan):
        seen = context.look({context.find_learning_rate(): 0.5}, with_schedule=True)
        rates = context.train(10, {context.find_learning_rate(): 0.5}, schedule_steps=10).rates
        return seen.rates, [rate for (rate,) in rates], context.plan_training(seen).steps

    highest, rates, steps = ran(run, Cosine(), trainer=quiet_trainer(max_epochs=2)).steps["mine"]
    assert highest == (0.5,)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.4 > 0.05 > rates[-1]
    assert steps == 2 * 256 // 16


def test_it_previews_the_training_to_come():
    """Shortened, from the same start, scored on held-out batches; twice the same is run once."""

    def run(context, plan):
        rate = context.find_learning_rate()
        good, none = (context.preview({rate: value}, 20) for value in (1e-2, 1e-9))
        again = context.preview({rate: 1e-2}, 20)
        return sum(good.scores), sum(none.scores), len(good.losses), again.scores == good.scores, context.previews.steps

    good, none, steps, is_known, all_steps = ran(run).steps["mine"]
    assert good < none
    assert (steps, is_known, all_steps) == (20, True, 40)


def test_it_knows_the_memory_budget():
    """What trials may take, of the setting and its margin."""

    def run(context, plan):
        return context.memory_budget().usable

    assert ran(run, memory_budget="4 GiB", memory_margin=0.5).steps["mine"] == 2 * 2**30


def test_it_looks_and_proves():
    """What a fit comes to up to its first batch; a setting that changes nothing is refused."""

    def run(context, plan):
        context.prove(context.setting("datamodule.batch_size"), 4)
        seen = context.look({context.setting("datamodule.batch_size"): 4})
        with pytest.raises(ConfigError, match=r"mine: changing module\.width changes nothing that arrives"):
            context.prove(context.setting("module.width"), 7)
        return seen.batch_size, seen.batches

    module = Net()
    module.width = 3
    assert ran(run, module).steps["mine"] == (4, 64)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("trainer.acumulate_grad_batches", "did you mean 'accumulate_grad_batches'"),
        ("nowhere.x", "it begins with one of module, datamodule, trainer"),
        ("module", "names an attribute"),
    ],
)
def test_a_place_that_is_none_is_refused(place, told):
    """With the nearest name."""
    with pytest.raises(ConfigError, match=told):
        ran(lambda context, plan: context.setting(place))


def applying(context, plan):
    """Sets something of each of the objects."""
    context.apply(context.setting("trainer.accumulate_grad_batches"), 4)
    context.apply(context.setting("trainer.gradient_clip_val"), 0.5)
    context.apply(context.setting("datamodule.batch_size"), 8)
    return {"effective": 32}


def test_it_applies_to_all_objects_at_the_end():
    """The Trainer included; later steps see it on their copies, and the lines to keep have it."""
    seen = []

    class Watching(Net):
        def on_train_start(self):
            seen.append((self.trainer.accumulate_grad_batches, self.trainer.gradient_clip_val))

    trainer, data = quiet_trainer(), Blobs()
    report = ran(applying, Watching(), data, trainer, use_learning_rate_tuning=True, lr_num_training=20)
    assert (trainer.accumulate_grad_batches, trainer.gradient_clip_val, data.batch_size) == (4, 0.5, 8)
    assert seen[-1] == (4, 0.5)
    assert [(one.places, one.old, one.chosen) for one in report.applied] == [
        (("trainer.accumulate_grad_batches",), 1, 4),
        (("trainer.gradient_clip_val",), None, 0.5),
        (("datamodule.batch_size",), 16, 8),
    ]
    assert "trainer.accumulate_grad_batches = 4" in report.keep
    assert "datamodule.batch_size = 8" in report.keep


def test_a_batch_size_that_it_applies_stays():
    """The result of the search, the plan of the training and the lines to keep follow; the comparison keeps it."""

    def run(context, plan):
        context.apply(context.find_batch_size(), 6)
        context.apply(context.setting("trainer.accumulate_grad_batches"), 4)

    both = {"use_batch_size_tuning": True, "use_learning_rate_tuning": True, "batch_size_max": 8, "compare": True}
    data = Blobs()
    report = ran(run, data=data, lr_num_training=20, lr_verify=False, **both)
    assert (data.batch_size, report.batch_size.chosen, report.batch_size.largest) == (6, 6, 8)
    assert report.batch_size.reason == "step 'mine' has applied it; 8 was found"
    assert (report.plan.batch_size, report.plan.steps_per_epoch) == (6, 11)
    assert {one.batch_size for one in report.comparison.values} <= {6}
    assert sum("batch_size" in line for line in report.keep) == 1


def test_nothing_is_applied_if_a_later_step_fails():
    """Values are written at the end, all or none; what was found is in the exception."""

    def failing(context, plan):
        raise RuntimeError("broken")

    trainer, data = quiet_trainer(), Blobs()
    registry = registry_with(TuningStep("first", applying, ""), TuningStep("second", failing, "", order=160))
    with pytest.raises(PluginError, match="step 'second'") as caught:
        tuned(Net(), data, trainer, registry=registry, steps=["first", "second"])
    assert (trainer.accumulate_grad_batches, data.batch_size) == (1, 16)
    assert caught.value.report.steps == {"first": {"effective": 32}}


def test_tables_and_figures_are_in_the_report(capsys):
    """The table is printed, too; the figure is an SVG, and a file if plots are wanted."""
    from matplotlib.figure import Figure

    def run(context, plan):
        context.table("What was seen", ["thing", "number"], [["a", 1.5], ["b", None]])
        figure = Figure()
        figure.add_subplot().plot([1, 2])
        context.figure("A line", figure)

    report = ran(run, verbose=True)
    assert report.tables[0].rows == (("a", 1.5), ("b", None))
    assert report.figures[0].svg.startswith("<svg")
    assert report.figures[0].path is None
    assert "What was seen" in capsys.readouterr().out
    assert TuningReport.model_validate_json(report.model_dump_json()) == report


def ends(error):
    def run(*args):
        raise error

    return run


class Abrupt(BaseException):
    """None that anybody catches by accident."""


@pytest.mark.parametrize(
    "error", [ValueError("a mistake"), SystemExit(0), Abrupt("gone")], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("part", ["check", "prepare", "run", "is_enabled"])
def test_its_own_errors_are_the_plugins(part, error):
    """Named with the step, the plugin, the file and the line, whatever it raises; exit code 4."""
    parts = {part: ends(error)}
    step = TuningStep("mine", **{"run": lambda context, plan: None, "summary": "", **parts})
    with pytest.raises(
        PluginError, match=rf"step 'mine' \(plugin 'mine' of .*{part}: {type(error).__name__}.*test_steps"
    ) as caught:
        tuned(Net(), registry=registry_with(step), steps=["mine"])
    assert caught.value.exit_code == 4


def test_what_it_does_after_backward_is_its_own():
    """An error of that is the plugin's, too, although it is raised amid the user's training."""

    def run(context, plan):
        context.train(2, {}, lambda module: module.no_such_thing)

    with pytest.raises(PluginError, match=r"step 'mine' .* failed in run: AttributeError: .*no_such_thing"):
        ran(run)


def test_ctrl_c_is_nobodys_fault():
    """It comes out as it is."""
    with pytest.raises(KeyboardInterrupt):
        ran(ends(KeyboardInterrupt()))


def test_the_users_errors_come_out_as_they_are():
    """What their code raises in a training that the step asked for."""

    class Broken(Net):
        def training_step(self, batch, batch_idx):
            raise ValueError("my own mistake")

    with pytest.raises(ValueError, match="my own mistake"):
        ran(lambda context, plan: context.train(3), Broken())


@pytest.mark.parametrize("result", [np.int64(3), torch.ones(2), {1, object()}], ids=["np.int64", "tensor", "object"])
def test_a_result_that_json_cannot_hold_is_refused_at_once(result):
    """Not when the report is written, after the tuning."""
    with pytest.raises(PluginError, match=r"step 'mine' .* returned what JSON cannot hold"):
        ran(lambda context, plan: result)


def test_it_changes_neither_random_state_nor_modes():
    """Those of Python, NumPy and torch."""

    def run(context, plan):
        random.random(), np.random.rand(), torch.rand(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    objects = Net(), Blobs()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    ran(run, *objects)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)


def set_rate(context):
    context.module.lr = 5.0


def set_new(context):
    context.datamodule.extra = 1


def set_trainer(context):
    context.trainer.accumulate_grad_batches = 3


def set_hyperparameter(context):
    context.module.hparams["width"] = 3


def set_weights(context):
    with torch.no_grad():
        context.module.network[0].weight.zero_()


@pytest.mark.parametrize("fails", [False, True], ids=["and returns", "and raises"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (set_rate, "module.lr"),
        (set_new, "datamodule.extra"),
        (set_trainer, "trainer.accumulate_grad_batches"),
        (set_hyperparameter, "module.hparams.width"),
        (set_weights, "module.network.0.weight"),
    ],
)
def test_it_cannot_change_the_users_objects(change, named, fails):
    """What it changes is put back and is its fault."""

    def run(context, plan):
        change(context)
        if fails:
            raise ValueError("then it fails")

    module, data, trainer = Net(), Blobs(), quiet_trainer()
    weights = module.network[0].weight.detach().clone()
    with pytest.raises(PluginError, match=f"step 'mine' .* changed your own {named}"):
        ran(run, module, data, trainer)
    assert (module.lr, hasattr(data, "extra"), trainer.accumulate_grad_batches) == (1e-3, False, 1)
    assert dict(module.hparams) == {}
    assert torch.equal(module.network[0].weight, weights)


@pytest.mark.parametrize(
    ("named", "error", "told"),
    [
        ("mne", UnknownNameError, "steps = 'mne' is unknown; .*did you mean 'mine'"),
        ("batch_size", ConfigError, "'batch_size' is built in and has a switch of its own"),
    ],
)
def test_names_are_checked(named, error, told):
    """Before anything runs."""
    with pytest.raises(error, match=told):
        tuned(Net(), registry=registry_with(TuningStep("mine", ends(ValueError()), "")), steps=[named])


def test_a_step_that_declines_is_said():
    """It is named and switches itself off with these settings."""
    with pytest.warns(UserWarning, match="step 'mine' does not run"):
        assert ran(ends(ValueError()), step={"is_enabled": lambda config: False}).steps == {}


class Options(BaseModel):
    """Options of a step."""

    times: int = 1
    name: str = "none"


PLUGIN = """
from lit_autotune import TuningStep, hookimpl
from pydantic import BaseModel

class Options(BaseModel):
    times: int = 1
    name: str = "none"

def run(context, plan):
    context.apply(context.setting("trainer.accumulate_grad_batches"), context.options.times)
    return context.options.model_dump()

@hookimpl
def lit_autotune_steps():
    return [TuningStep("my-step", run, "", options=Options)]
"""
TARGETS = ("train.py:Net", "train.py:Blobs")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A user's folder, and a plugin with a step that is installed."""
    (tmp_path / "my_step_plugin.py").write_text(PLUGIN)
    info = tmp_path / "my_step-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-step\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lit_autotune]\nmy_step = my_step_plugin\n")
    (tmp_path / "train.py").write_text("from support.models import Blobs, Net\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def report_of(folder):
    return TuningReport.model_validate_json((folder / "r.json").read_bytes())


def test_a_step_alone_from_the_shell(installed):
    """`--step` and `--option`, a file below them; `--write` pins what it applied."""
    (installed / "autotune.toml").write_text(
        "[tuner_config]\nuse_batch_size_tuning = false\nuse_learning_rate_tuning = false\n"
        'options.my-step.name = "file"\noptions.my-step.times = 2\n[trainer_config]\nlogger = false\nmax_epochs = 1\n'
    )
    command = ["tune", *TARGETS, "--step", "my-step", "--option", "my-step.times=3", "--report", "r.json"]
    done = autotune(*command, "--write", "autotune.toml")
    assert done.returncode == 0, done.stderr
    assert report_of(installed).steps["my-step"] == {"times": 3, "name": "file"}
    assert "accumulate_grad_batches = 3" in (installed / "autotune.toml").read_text()
    assert "trainer.accumulate_grad_batches" in done.stdout


TRAINER = "accelerator: cpu\nmax_epochs: 1\nlogger: false\naccumulate_grad_batches: 1"


def test_what_it_applied_is_kept_in_other_kinds_of_project(installed):
    """Settings of the Trainer under LightningCLI's and Hydra's own keys."""
    (installed / "config.yaml").write_text(
        f"trainer: {{{TRAINER.replace(chr(10), ', ')}}}\nmodel:\n  class_path: support.models.Net\n"
        "data:\n  class_path: support.models.Blobs\n"
    )
    alone = ("--no-use-batch-size-tuning", "--no-use-learning-rate-tuning", "--step", "my-step")
    command = ("tune", *alone, "--option", "my-step.times=3")
    done = autotune(*command, "--lightning-config", "config.yaml", "--write", "config.yaml")
    assert "--trainer.accumulate_grad_batches=3" in done.stdout, done.stderr
    assert "accumulate_grad_batches: 3" in (installed / "config.yaml").read_text()
    (installed / "train.yaml").write_text(
        f"trainer:\n  _target_: lightning.pytorch.Trainer\n  {TRAINER.replace(chr(10), chr(10) + '  ')}\n"
        "model: {_target_: support.models.Net}\ndata: {_target_: support.models.Blobs}\n"
    )
    done = autotune(*command, "--hydra", "./train", "--write")
    assert "trainer.accumulate_grad_batches=3" in done.stdout, done.stderr
    assert "accumulate_grad_batches: 3" in (installed / "train.yaml").read_text()


def test_options_from_the_environment(installed):
    """A variable has no hyphen in its name."""
    switches = ("--no-use-batch-size-tuning", "--no-use-learning-rate-tuning")
    command = ("tune", *TARGETS, *switches, "--step", "my-step", "--report", "r.json")
    done = autotune(*command, LIT_AUTOTUNE_OPTIONS__MY_STEP__TIMES="5")
    assert done.returncode == 0, done.stderr
    assert report_of(installed).steps["my-step"]["times"] == 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--step", "my-stp"], "did you mean 'my-step'"),
        (["--step", "my-step", "--option", "my-step.time=3"], "did you mean 'times'"),
        (["--step", "my-step", "--option", "my-stepp.times=3"], "did you mean 'my-step'"),
        (["--step", "my-step", "--option", "my-step.times"], "must be NAME.FIELD=VALUE"),
    ],
)
def test_mistakes_in_names_are_refused(installed, words, told):
    """Before anything runs, with the nearest name."""
    done = autotune("tune", *TARGETS, *words)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
