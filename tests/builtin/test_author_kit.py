"""What `lit_autotune.testing` has for authors of plugins: checks of whole plugins, curves, oracles, tiny objects."""

import math
import random
import re
import sys
import warnings

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from pydantic import BaseModel

import lit_autotune.testing as kit
from lit_autotune import (
    BatchSizeStrategy,
    ConfigError,
    LRSuggester,
    LRSuggestionError,
    PluginError,
    TunerConfig,
    TuningStep,
    UnknownNameError,
    hookimpl,
    search_batch_size,
    suggest_lr,
    tune,
)
from lit_autotune.builtin import batch_size_step, binsearch, consensus, steepest
from lit_autotune.cli import main
from lit_autotune.registry.registry import Registry
from support.models import quiet_trainer


def cautious(curve):
    """A rule with nothing wrong with it."""
    rates, losses = curve.finite()
    lowest = losses.index(min(losses))
    if lowest == 0:
        raise LRSuggestionError("the loss never falls")
    return np.float32(rates[lowest] / 20)


class Plugin:
    """A plugin with nothing wrong with it."""

    @hookimpl
    def lit_autotune_lr_suggesters(self):
        return [LRSuggester("cautious", cautious, "a twentieth of the rate with the lowest loss")]


def of(**hooks):
    """A plugin with these hooks, each given by what it returns."""
    marked = {f"lit_autotune_{name}": hookimpl(lambda self, made=made: made()) for name, made in hooks.items()}
    return type("Made", (), marked)()


def failures(plugin):
    """What the checks of a plugin say, by their names."""
    said = {}
    for check in kit.plugin_checks():
        try:
            check(plugin)
        except AssertionError as error:
            said[check.__name__] = str(error)
    return said


@pytest.mark.parametrize("check", kit.plugin_checks())
def test_a_good_plugin_passes(check):
    """One that returns NumPy's numbers, too."""
    check(Plugin())


@pytest.mark.parametrize("check", kit.plugin_checks())
@pytest.mark.parametrize("module", [consensus, binsearch, batch_size_step], ids=lambda module: module.__name__)
def test_built_in_plugins_pass(module, check):
    """A module that is installed is checked in place of its copy."""
    if check.__name__ != "imports_nothing_heavy" or module is consensus:  # a process each
        check(module)


def test_ids_are_readable():
    """Names of the checks say what is checked, and each has a sentence."""
    for checks in (kit.suggester_checks(), kit.strategy_checks(), kit.step_checks(), kit.plugin_checks()):
        names = [check.__name__ for check in checks]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)
        assert all(check.__doc__.strip().endswith(".") for check in checks)


class Needy(BaseModel):
    """Options that cannot be left out."""

    share: float


def rules(*names, summary="a rule", **record):
    """A plugin with a rule."""
    return of(lr_suggesters=lambda: [LRSuggester(name, cautious, summary, **record) for name in names])


def steps(*step, **record):
    """A plugin with a step."""
    return of(steps=lambda: [TuningStep(*step, **record)])


@pytest.mark.parametrize(
    ("plugin", "check", "complaint"),
    [
        (rules("steepest"), "is_accepted", "already provided by plugin 'steepest' of lit-autotune"),
        (rules("my rule"), "is_accepted", "no valid name"),
        (rules(), "is_not_empty", "it provides nothing"),
        (rules("fine", summary=""), "has_summaries_of_one_line", "fine: summary is not one line"),
        (rules("fine", options=Needy), "its_suggesters_pass", "fine: ConfigError .*share"),
        (
            of(lr_suggesters=lambda: [random.random()][:0]),
            "is_loaded_without_changing_state",
            "its hooks change Python's random state",
        ),
        (
            of(batch_size_strategies=lambda: [BatchSizeStrategy("none", lambda space: iter(()), "none")]),
            "its_strategies_pass",
            "must be a generator",
        ),
        (steps("odd", print, "one\ntwo"), "its_steps_pass", "odd: summary is not one line"),
        (steps("odd", print, "fine", options=Needy), "its_steps_pass", "odd: .*share.*a default"),
    ],
)
def test_what_is_wrong_with_a_plugin(plugin, check, complaint):
    """It is told by the check that it concerns, in one line."""
    assert re.search(complaint, failures(plugin)[check])
    assert "\n" not in failures(plugin)[check]


@pytest.mark.slow
def test_a_heavy_import_is_told(tmp_path, monkeypatch):
    """Seen in a process of its own, for this one has torch."""
    (tmp_path / "acme_heavy.py").write_text(
        "import torch\nfrom lit_autotune import hookimpl\n@hookimpl\ndef lit_autotune_finished(report): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import acme_heavy

    assert failures(acme_heavy) == {
        "imports_nothing_heavy": "acme_heavy: imports torch at once; import it inside functions"
    }
    del sys.modules["acme_heavy"]


def test_an_invalid_step_is_told():
    """As the registry would."""
    with pytest.raises(AssertionError, match=r"odd: .*run of 'odd' is not callable"):
        kit.step_checks()[0](TuningStep("odd", "run", "a step"))


MESSES = {
    "Python's random state": lambda: random.random(),
    "NumPy's random state": lambda: np.random.rand(),
    "torch's random state": lambda: torch.rand(1),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's gradient mode": lambda: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("changed", MESSES)
def test_what_changes_the_state_is_caught(changed):
    """In rules and strategies; it is put back."""

    def suggest(curve):
        MESSES[changed]()
        return 1e-3

    def search(space):
        MESSES[changed]()
        yield from binsearch.search(space)

    assert kit.changed_state(MESSES[changed]) == [changed]
    with pytest.raises(AssertionError, match=f"^messy: changes {changed}$"):
        kit.suggester_checks()[-1](LRSuggester("messy", suggest, "a rule"))
    with pytest.raises(AssertionError, match=f"^messy: changes {changed}$"):
        kit.strategy_checks()[-1](BatchSizeStrategy("messy", search, "a strategy"))
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert kit.changed_state(lambda: None) == []


def test_a_plugin_in_use_without_being_installed(capsys):
    """Inside, everything knows it: Python, the command, a tuning; outside, nothing does."""
    with kit.registered(Plugin(), "mine") as registry:
        assert registry.suggester("cautious").suggest is cautious
        assert suggest_lr(*zip(*enumerate(kit.valley(), 1), strict=True), suggester="cautious").value > 0
        assert main(["plugins", "mine"]) == 0
        assert "cautious: a twentieth of the rate" in capsys.readouterr().out
        module = kit.TinyModule()
        config = TunerConfig(
            use_learning_rate_tuning=True, lr_suggester="cautious", lr_num_training=40, lr_verify=False, compare=False
        )
        report = tune(quiet_trainer(), module, kit.TinyData(), config)
        assert module.lr == report.learning_rate.chosen
        assert report.learning_rate.suggester == "cautious"
        with pytest.raises(ConfigError):
            Registry.load(blocked=["steepst"])
    with pytest.raises(UnknownNameError):
        Registry.load().suggester("cautious")


def test_an_installed_plugin_is_not_in_use_twice():
    """The module given takes the place of what is installed."""
    with kit.registered(steepest) as registry:
        assert registry.owner_of(registry.suggester("steepest")).distribution == "this process"


def test_a_plugin_that_is_not_in_order_is_refused():
    """At once, and nothing is left of it."""
    with (
        pytest.raises(PluginError, match="plugin 'mine' of this process: suggester 'steepest' is already"),
        kit.registered(rules("steepest"), "mine"),
    ):
        pass
    assert Registry.load().suggester("steepest")


def test_curves():
    """They are what they are called, and the same each time."""
    for name, curve in kit.CURVES.items():
        assert repr(curve()) == repr(curve()), name
        assert len(curve().finite()[0]) >= 5, name
    assert kit.flat_curve().losses == (1.0,) * 100
    assert max(kit.negative_curve().losses) < 0
    assert any(map(math.isnan, kit.nan_curve().losses))
    assert kit.diverging_curve().losses[-1] == math.inf
    assert kit.plateau_curve().losses[-1] == min(kit.plateau_curve().losses)
    assert kit.valley_curve().losses == tuple(kit.valley())
    jumps = [
        sum(abs(b - a) for a, b in zip(curve.losses[:50], curve.losses[1:51], strict=True))
        for curve in (kit.valley_curve(), kit.noisy_curve())
    ]
    assert jumps[1] > 10 * jumps[0]


@pytest.mark.parametrize("budget", [None, 10_000])
def test_memory_oracle(budget):
    """It has what it says, measured or not, and remembers what it was asked."""
    oracle = kit.MemoryOracle(largest=100, budget=budget)
    size, trials = search_batch_size(oracle, strategy="binsearch", budget=budget)
    assert 96 <= size <= 100
    assert oracle.tried == [trial.batch_size for trial in trials]
    assert {trial.batch_size for trial in trials if trial.fits} == {size for size in oracle.tried if size <= 100}


def test_tiny_objects_train():
    """A whole fit with validation, and Lightning has nothing to say about it."""
    torch.manual_seed(0)
    module, trainer = kit.TinyModule(lr=0.1), quiet_trainer(max_epochs=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(module, datamodule=kit.TinyData())
    assert trainer.callback_metrics["val_loss"] < 0.5
    assert isinstance(module, pl.LightningModule)


def test_all_public_names_are_there():
    """Sorted; and nothing else by accident."""
    assert kit.__all__ == sorted(kit.__all__)
    assert all(getattr(kit, name) is not None for name in kit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'TinyModul'"):
        _ = kit.TinyModul
