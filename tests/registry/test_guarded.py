"""What rules, strategies and notifications may not do to the user, and how they are named if they do."""

import gc
import random
import warnings

import numpy as np
import pytest
import torch

from lit_autotune import LRSuggestionError, PluginError, TunerConfig, hookimpl, search_batch_size, suggest_lr, tune
from lit_autotune._shared import foreign
from lit_autotune.cli import main
from lit_autotune.curves.formulas import lr_ladder
from lit_autotune.errors import ExitCode
from lit_autotune.registry.registry import Registry
from lit_autotune.search.guarded import guarded
from lit_autotune.testing import valley
from lit_autotune.types import SearchSpace
from support.models import Blobs, Net, quiet_trainer
from support.plugins import offer, rule, strategy

MESS = """import random, numpy, torch
random.seed(1)
numpy.random.seed(1)
torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
"""
CURVE = (lr_ladder(1e-8, 1.0, 100), valley())


def state():
    """All that plugins must leave alone."""
    numpy = np.random.get_state()
    drawn = random.getstate(), numpy[1].tolist(), torch.get_rng_state().tolist()
    return drawn, torch.get_default_dtype(), torch.is_grad_enabled()


def lr_config(**changes):
    """A short tuning of the learning rate alone."""
    return TunerConfig(
        **{"use_learning_rate_tuning": True, "lr_num_training": 20, "lr_verify": False, "compare": False, **changes}
    )


def weights_after_fit():
    """What a fit after a tuning arrives at."""
    torch.manual_seed(3)
    module, data, trainer = Net(), Blobs(), quiet_trainer()
    tune(trainer, module, data, lr_config())
    trainer.fit(module, datamodule=data)
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def test_a_rule_that_was_not_chosen_changes_no_weight(install):
    """It draws random numbers, and sets what it likes: the weights after ``fit`` are as without it."""
    before = weights_after_fit()
    install("acme", rule(MESS + "return 1e-3"))
    start = state()
    assert torch.equal(weights_after_fit(), before)
    assert state()[1:] == start[1:]


def test_a_strategy_leaves_the_state_alone(install):
    """So it is whenever its search goes on, and when it is closed."""
    install("acme", strategy(f"try:\n    while (yield space.init_val).fits:\n        pass\nfinally:\n{indent(MESS)}"))
    install("acme-other", strategy(MESS + "trial = yield space.init_val\n" + MESS, name="other"))
    start = state()
    assert search_batch_size(lambda size: None, strategy="other", max_val=8)[0] == 2
    with pytest.raises(PluginError, match="keeps asking"):
        search_batch_size(lambda size: None, strategy="odd", max_val=8)
    assert state() == start


def indent(text):
    """Eight spaces further."""
    return "".join(f"        {line}\n" for line in text.splitlines())


def test_notifications_leave_the_state_alone(install):
    """They see it, and what they do to it is undone."""
    install("acme", f"@hookimpl\ndef lit_autotune_finished(report):\n{indent(MESS)}")
    start, said = state(), []
    Registry.load().notify("lit_autotune_finished", said.append, report=None)
    assert state() == start
    assert said == []


def test_a_failing_notification_is_named_with_its_line():
    """The plugin, the hook, the error, the file and the line."""
    registry, said = Registry.load(), []

    class Noisy:
        @hookimpl
        def lit_autotune_finished(self, report):
            raise BaseException("enough")

    registry.register(Noisy(), "noisy")
    registry.notify("lit_autotune_finished", said.append, report=None)
    [warning] = said
    assert "'this process:noisy' failed in lit_autotune_finished: BaseException: enough" in warning
    assert "test_guarded.py:" in warning


WRONG = {
    "raises": ("raise IndexError('off by one')", r"IndexError: off by one \(.*acme\.py:5\)"),
    "raises in a library": ("import statistics\nreturn statistics.median([])", r"StatisticsError: .*\(.*acme\.py:6\)"),
    "exits": ("raise SystemExit(5)", r"SystemExit: 5 \(.*acme\.py:5\)"),
    "BaseException": ("raise BaseException('enough')", r"BaseException: enough \(.*acme\.py:5\)"),
    "NaN": ("return float('nan')", r"must return a positive number, not nan \(.*acme\.py:4\)"),
    "negative": ("return -1", r"not -1 \(.*acme\.py:4\)"),
    "infinite": ("return float('inf')", r"not inf \(.*acme\.py:4\)"),
    "larger than any float": ("return 10 ** 400", r"OverflowError"),
    "text": ("return '1e-3'", r"not '1e-3' \(.*acme\.py:4\)"),
    "nothing": ("pass", r"not None \(.*acme\.py:4\)"),
}


@pytest.mark.parametrize(("body", "complaint"), WRONG.values(), ids=list(WRONG))
def test_a_chosen_rule_that_fails_is_a_plugin_error(install, body, complaint):
    """It names the rule, its distribution and version, what happened, the file and the line."""
    install("acme", rule(body))
    with pytest.raises(PluginError, match=complaint) as caught:
        suggest_lr(*CURVE, suggester="odd")
    assert str(caught.value).startswith("suggester 'odd' (plugin 'acme' of acme 1.0) failed: ")
    assert caught.value.exit_code == ExitCode.PLUGIN
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("body", "complaint"), [WRONG["exits"], WRONG["NaN"]], ids=["exits", "NaN"])
def test_a_rule_that_was_not_chosen_and_fails_is_a_warning(install, body, complaint):
    """The others are asked, and the one that is needed gives its rate."""
    install("acme", rule(body))
    module = Net()
    with pytest.warns(UserWarning, match=complaint) as said:
        report = tune(quiet_trainer(), module, Blobs(), lr_config(verbose=False))
    assert [warning for warning in map(str, (one.message for one in said)) if "suggester 'odd' (plugin" in warning]
    assert module.lr == report.learning_rate.chosen


def test_a_tuning_with_a_rule_that_fails_changes_nothing(install):
    """The user's objects are as before."""
    install("acme", rule("raise IndexError('off by one')"))
    module = Net(lr=0.5)
    with pytest.raises(PluginError, match=r"suggester 'odd' .*acme\.py:5"):
        tune(quiet_trainer(), module, Blobs(), lr_config(lr_suggester="odd"))
    assert module.lr == 0.5


def test_a_rule_without_an_answer_is_none_of_that(install):
    """It says why: no answer is exit code 3, and not the plugin's fault."""
    install("acme", rule("raise LRSuggestionError('too flat')"))
    assert suggest_lr(*CURVE, suggester="odd").reasons == ("too flat",)
    with pytest.raises(LRSuggestionError, match="too flat") as caught:
        tune(quiet_trainer(), Net(), Blobs(), lr_config(lr_suggester="odd"))
    assert caught.value.exit_code == ExitCode.NO_ANSWER


def test_exit_code_of_suggest(install, capsys):
    """`autotune suggest` ends with 4 if the rule that it is to mark fails."""
    report = tune(quiet_trainer(), Net(), Blobs(), lr_config())
    with open("report.json", "w") as file:
        file.write(report.model_dump_json())
    install("acme", rule("return float('nan')"))
    assert main(["suggest", "report.json", "--plot", "plot.png"]) == ExitCode.OK
    assert "warning: suggester 'odd' (plugin 'acme' of acme 1.0) failed" in capsys.readouterr().err
    assert main(["suggest", "report.json", "--suggester", "odd"]) == ExitCode.PLUGIN
    assert "autotune: suggester 'odd' (plugin 'acme' of acme 1.0)" in capsys.readouterr().err


def test_a_slow_rule_is_named(install, monkeypatch, capsys):
    """While it is waited for on standard error, and afterwards in a warning with its seconds."""
    monkeypatch.setattr(foreign, "PATIENCE", 0.05)
    install("acme", rule("import time\ntime.sleep(0.3)\nreturn 1e-3"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert suggest_lr(*CURVE, suggester="odd").value == 1e-3
    assert "still waiting for suggester 'odd' (plugin 'acme' of acme 1.0)" in capsys.readouterr().err
    assert [one for one in said if "suggester 'odd' (plugin 'acme' of acme 1.0) took 0 s" in str(one.message)]


@pytest.mark.parametrize("number", ["numpy.float32(0.5)", "numpy.int64(1)", "fractions.Fraction(1, 2)"])
def test_numbers_of_other_kinds_are_numbers(install, number):
    """What is a real number, is one."""
    install("acme", rule(f"import fractions, numpy\nreturn {number}"))
    assert 0 < suggest_lr(*CURVE, suggester="odd").value <= 1


BROKEN = {
    "yields 0": ("yield 0", "space", r"search must yield at least 1 and at most space.max_val = 16, not 0 \(.*:5\)"),
    "yields a float": ("yield 1\nyield 2.0", "space", r"search must yield int, not 2\.0 of type float \(.*:6\)"),
    "yields np.int64": ("import numpy\nyield numpy.int64(2)", "space", r"must yield int, not .*2.* of type int64"),
    "yields True": ("yield True", "space", "must yield int, not True of type bool"),
    "yields None": ("yield", "space", "must yield int, not None of type NoneType"),
    "yields too much": ("yield 17", "space", "at most space.max_val = 16, not 17"),
    "asks for nothing": ("yield from ()", "space", "search must yield at least one"),
    "one size for ever": ("while True:\n    yield 2", "space", "keeps asking for sizes that were tried, last 2"),
    "returns a list": ("return [2, 4]", "space", r"search must be a generator, not return list; use yield"),
    "exits": ("yield 2\nraise SystemExit(5)", "space", r"SystemExit: 5 \(.*:6\)"),
    "exits at once": ("raise SystemExit(0)\nyield", "space", "SystemExit: 0"),
    "BaseException": ("yield 2\nraise BaseException('enough')", "space", "BaseException: enough"),
    "takes no argument": ("yield 2", "", r"TypeError: search\(\) takes 0 positional arguments.*acme\.py:4"),
    "fails when closed": (
        "try:\n    for size in range(1, 17):\n        yield size\nfinally:\n    raise OSError('no')",
        "space",
        "OSError: no",
    ),
}


@pytest.mark.parametrize(("body", "arguments", "complaint"), BROKEN.values(), ids=list(BROKEN))
def test_a_strategy_that_breaks_a_rule_is_named_with_it(install, body, arguments, complaint):
    """As a PluginError with the strategy, its distribution and version, and the line; exit code 4."""
    install("acme", strategy(body, arguments=arguments))
    with pytest.raises(PluginError, match=complaint) as caught:
        search_batch_size(lambda size: None, strategy="odd", max_val=16, max_trials=3)
    assert str(caught.value).startswith("batch-size strategy 'odd' (plugin 'acme' of acme 1.0) failed: ")
    assert caught.value.exit_code == ExitCode.PLUGIN


@pytest.mark.parametrize("target", ["auto", "largest", "fastest"])
def test_a_strategy_that_fails_in_a_tuning(install, target):
    """Named likewise, whatever else the search is wrapped in; the objects are as before."""
    install("acme", strategy("trial = yield space.init_val\nyield 'four'"))
    data = Blobs(batch_size=4)
    config = TunerConfig(use_batch_size_tuning=True, batch_size_mode="odd", batch_size_target=target, compare=False)
    with pytest.raises(PluginError, match=r"strategy 'odd' \(plugin 'acme' of acme 1\.0\) .* not 'four' .*acme\.py:6"):
        tune(quiet_trainer(), Net(), data, config)
    assert data.batch_size == 4


@pytest.mark.parametrize("source", [rule("raise KeyboardInterrupt"), strategy("raise KeyboardInterrupt\nyield")])
def test_interrupting_is_no_fault_of_a_plugins(install, source):
    """Ctrl-C ends what is going on, as everywhere."""
    install("acme", source)
    with pytest.raises(KeyboardInterrupt):
        suggest_lr(*CURVE, suggester="odd") if "lr_suggesters" in source else search_batch_size(print, strategy="odd")


def test_a_good_plugin_is_told_nothing(install, capsys):
    """Neither a warning nor a line on standard error."""
    install("acme", offer("fine"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert suggest_lr(*CURVE, suggester="fine").value == 1e-3
    assert capsys.readouterr().err == ""


def test_a_search_that_is_garbage_touches_no_state(install, monkeypatch):
    """It may be collected while torch holds the lock of its random numbers, for which the guard would wait for ever."""
    install("acme", strategy("while (yield space.init_val).fits:\n    pass"))
    registry = Registry.load()
    search = guarded(registry.strategy("odd"), registry).search(SearchSpace(4))
    assert next(search) == 4
    touched = []
    monkeypatch.setattr(torch, "get_rng_state", lambda: touched.append("state"))
    del search
    gc.collect()
    assert touched == []
