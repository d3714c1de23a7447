"""Plugins of installed distributions: what a broken one does to the rest (nothing), and what a good one gets."""

import pickle
import re
import sys
import textwrap
import types

import pytest

from lit_autotune import ConfigError, LRSuggester, PluginError, TunerConfig, UnknownNameError, hookimpl, hookspecs, tune
from lit_autotune.curves.formulas import lr_ladder
from lit_autotune.range_test.suggestions import suggest_all
from lit_autotune.registry.registry import Registry
from lit_autotune.testing import valley
from lit_autotune.types import LRCurve
from support.models import AS_FOUND, Blobs, Net, quiet_trainer
from support.plugins import offer, status_of

SUGGESTERS = ["consensus", "drop", "lightning", "minimum", "slide", "steepest", "valley"]
CURVE = LRCurve(learning_rates=lr_ladder(1e-8, 1.0, 100), losses=valley())


def assert_built_ins_work(registry):
    """All built-in plugins are loaded, and everything they provide is in use."""
    own = [plugin for plugin in registry.plugins if plugin.distribution == "lit-autotune"]
    assert {plugin.status for plugin in own} == {"loaded"}
    assert {"batch_size", "learning_rate"} <= {step.name for step in registry.steps}
    for name in SUGGESTERS:
        assert 0 < registry.suggester(name).suggest(CURVE) < 1
    for name in ("binsearch", "power"):
        assert registry.strategy(name).name == name


BROKEN = {
    "import error": ("import no_such_module_anywhere", "ModuleNotFoundError: .*no_such_module_anywhere"),
    "syntax error": ("def f(:", "SyntaxError: "),
    "exits at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "no hook": ("x = 1", "implements no hook; mark functions with lit_autotune.hookimpl"),
    "misspelt hook": (
        "@hookimpl\ndef lit_autotune_suggesters():\n    return []",
        "unknown hook 'lit_autotune_suggesters'; did you mean",
    ),
    "wrong marker": (offer("other").replace("@hookimpl", "@pluggy.HookimplMarker('other')"), "implements no hook"),
    "wrong argument": (
        "@hookimpl\ndef lit_autotune_trial_finished(trail): ...",
        "'trail'.* can not be found in the hookspec",
    ),
    "no list": (
        "@hookimpl\ndef lit_autotune_lr_suggesters():\n    return LRSuggester('lone', float, '')",
        "lit_autotune_lr_suggesters must return a list of LRSuggester, not LRSuggester",
    ),
    "a name, not a record": (
        "@hookimpl\ndef lit_autotune_lr_suggesters():\n    return ['lone']",
        "lit_autotune_lr_suggesters must return LRSuggester records, not str",
    ),
    "another hook's record": (
        "@hookimpl\ndef lit_autotune_steps():\n    return [LRSuggester('lone', float, '')]",
        "lit_autotune_steps must return TuningStep records, not LRSuggester",
    ),
    "bad name": (offer("my rule"), "'my rule' is no valid name"),
    "empty name": (offer(""), "'' is no valid name"),
    "name that is no text": (offer(7), "7 is no valid name"),
    "nothing to call": (
        "@hookimpl\ndef lit_autotune_lr_suggesters():\n    return [LRSuggester('lone', 1e-3, '')]",
        "suggest of 'lone' is not callable",
    ),
    "kind that there is not": (
        "@hookimpl\ndef lit_autotune_lr_suggesters():\n    return [LRSuggester('lone', float, '', kind='peak')]",
        "kind of 'lone' is none of constant, max_lr",
    ),
    "search that is no function": (
        "@hookimpl\ndef lit_autotune_batch_size_strategies():\n    return [BatchSizeStrategy('lone', [2, 4], '')]",
        "search of 'lone' is not callable",
    ),
    "hook that fails": (
        "@hookimpl\ndef lit_autotune_lr_suggesters():\n    raise KeyError('not found')",
        "KeyError: 'not found'",
    ),
    "suggester name taken": (offer("steepest", rate=9), "suggester 'steepest' is already provided by .*lit-autotune"),
    "second record's name taken": (offer("fresh", "valley", rate=9), "suggester 'valley' is already provided by"),
    "strategy name taken": (
        "@hookimpl\ndef lit_autotune_batch_size_strategies():\n    return [BatchSizeStrategy('power', iter, '')]",
        "batch-size strategy 'power' is already provided by .*block one of them with -p no:NAME",
    ),
    "step name taken": (
        "@hookimpl\ndef lit_autotune_steps():\n    return [TuningStep('batch_size', print, '')]",
        "step 'batch_size' is already provided by",
    ),
}


@pytest.mark.parametrize(("source", "complaint"), BROKEN.values(), ids=list(BROKEN))
def test_broken_plugin_is_reported_and_leaves_no_trace(install, source, complaint):
    """A broken plugin is listed with its distribution and the reason; everything else works as without it."""
    before = [suggester.name for suggester in Registry.load().suggesters]
    install("acme-broken", source, name="acme")
    registry = Registry.load()
    status = status_of(registry, "acme-broken")
    assert (status.name, status.version, status.status, status.provides) == ("acme", "1.0", "failed", [])
    assert re.search(complaint, status.error)
    assert "\n" not in status.error
    assert [suggester.name for suggester in registry.suggesters] == before
    assert_built_ins_work(registry)


def test_broken_plugins_do_not_spoil_good_ones(install):
    """Whatever else is broken, a good plugin loads, in whichever order they are found."""
    for i, (source, _) in enumerate(BROKEN.values()):
        install(f"broken-{i}", source)
    install("a-good", offer("first"))
    install("z-good", offer("last"))
    registry = Registry.load()
    assert [plugin.status for plugin in registry.plugins].count("failed") == len(BROKEN)
    assert status_of(registry, "a-good").provides == ["suggester first"]
    assert status_of(registry, "z-good").provides == ["suggester last"]
    assert_built_ins_work(registry)


def test_tuning_warns_of_a_broken_plugin_and_goes_on(install):
    """A tuning that does not need the broken plugin names it in a warning and gives its result."""
    install("acme-broken", "import no_such_module_anywhere", name="acme")
    report = tune(quiet_trainer(), Net(), Blobs(), lr_config())
    [warning] = [warning for warning in report.warnings if "no_such_module_anywhere" in warning]
    assert "plugin 'acme' of acme-broken 1.0" in warning
    assert report.learning_rate.applied


def test_broken_notification_hook_is_not_called(install):
    """Of a plugin that was refused no hook is ever called, the notification hooks included."""
    install(
        "acme-broken",
        offer("steepest") + "@hookimpl\ndef lit_autotune_finished(report):\n    raise ValueError('called')\n",
    )
    report = tune(quiet_trainer(), Net(), Blobs(), lr_config())
    assert not [warning for warning in report.warnings if "called" in warning]


def test_same_name_of_two_third_parties_is_reported(install):
    """If two third parties offer one name, the second is refused, and the first named as the reason."""
    install("acme-one", offer("same", "one"))
    install("acme-two", offer("same", "two"))
    registry = Registry.load()
    assert status_of(registry, "acme-one").status == "loaded"
    status = status_of(registry, "acme-two")
    assert status.status == "failed"
    assert "suggester 'same' is already provided by plugin 'acme_one' of acme-one 1.0" in status.error
    assert registry.suggester("one").name == "one"
    assert_built_ins_work(registry)


def test_contested_name_in_the_settings_is_refused(install):
    """Settings that name what two third parties offer are ambiguous: the error names both, and nothing is tuned."""
    install("acme-one", offer("same"))
    install("acme-two", offer("same"))
    module = Net(lr=0.5)
    with pytest.raises(PluginError, match=r"lr_suggester = 'same'.*acme-one.* and .*acme-two.*; block") as caught:
        tune(quiet_trainer(), module, Blobs(), lr_config(lr_suggester="same"))
    assert not isinstance(caught.value, UnknownNameError)
    assert module.lr == 0.5


@pytest.mark.parametrize(("blocked", "rate"), [("acme_one", 2e-3), ("acme_two", 1e-3)])
def test_blocking_one_of_two_settles_a_contested_name(install, blocked, rate):
    """With one of the two blocked, the name is the other's."""
    install("acme-one", offer("same", rate=1e-3))
    install("acme-two", offer("same", rate=2e-3))
    registry = Registry.load(blocked={blocked})
    assert registry.suggester("same").suggest(CURVE) == rate


def test_one_name_for_a_suggester_and_a_strategy_is_no_collision(install):
    """Suggesters, strategies and steps have names of their own."""
    install("acme", offer("power"))
    registry = Registry.load()
    assert status_of(registry, "acme").provides == ["suggester power"]
    assert_built_ins_work(registry)


def test_failing_suggester_has_no_answer_and_others_have_theirs(install):
    """An exception inside a suggester is a warning and its reason; the other suggestions are as without it."""
    install(
        "acme",
        "def fails(curve):\n    raise IndexError('off by one')\n"
        "@hookimpl\ndef lit_autotune_lr_suggesters():\n    return [LRSuggester('fails', fails, '')]",
    )
    registry, said = Registry.load(), []
    answers = {answer.suggester: answer for answer in suggest_all(CURVE, registry.suggesters, {}, said.append)}
    assert answers["fails"].value is None
    assert "IndexError: off by one" in answers["fails"].reasons[0]
    [warning] = said
    assert "'fails'" in warning
    for name in SUGGESTERS:
        assert answers[name].value == registry.suggester(name).suggest(CURVE)


@pytest.mark.parametrize("answer", ["0", "-1e-3", "float('nan')", "float('inf')", "None", "'1e-3'", "True"])
def test_suggestion_that_is_no_rate_is_not_used(install, answer):
    """What is no positive finite number never becomes a suggestion."""
    install("acme", offer("odd", rate=answer))
    said = []
    [suggestion] = suggest_all(CURVE, [Registry.load().suggester("odd")], {}, said.append)
    assert suggestion.value is None
    assert "must return a positive number, not" in suggestion.reasons[0]
    assert said


@pytest.mark.parametrize(
    "hook",
    ["lit_autotune_trial_finished(trial)", "lit_autotune_finished(report)", "lit_autotune_finished(trainer, report)"],
)
def test_failing_notification_is_only_warned_about(install, capsys, hook):
    """An exception in a notification hook is a warning with the plugin's name; the values are written all the same."""
    install("acme-noisy", f"@hookimpl\ndef {hook}:\n    raise OSError('disk full')")
    data = Blobs()
    report = tune(quiet_trainer(), Net(), data, TunerConfig(use_batch_size_tuning=True, batch_size_max=4))
    assert data.batch_size == report.batch_size.chosen == 4
    lines = [line for line in capsys.readouterr().out.splitlines() if "disk full" in line]
    assert lines
    for line in lines:
        assert "⚠ plugin 'acme-noisy:acme_noisy' failed in " + hook.partition("(")[0] + ": OSError" in line


def test_blocked_plugin_is_not_imported(install):
    """A blocked plugin is listed as blocked, its module is not imported, and what it has is not offered."""
    install("acme-heavy", offer("heavy"), name="acme")
    registry = Registry.load(blocked={"acme"})
    assert "acme_heavy" not in sys.modules
    status = status_of(registry, "acme-heavy")
    assert (status.status, status.error, status.provides) == ("blocked", "", [])
    with pytest.raises(UnknownNameError, match=r"plugin 'acme' of acme-heavy 1.0 is blocked"):
        registry.suggester("heavy")
    assert_built_ins_work(registry)
    assert Registry.load().suggester("heavy").name == "heavy"


def test_built_in_plugin_can_be_blocked_and_replaced(install):
    """With a built-in blocked, its name is free for a third party."""
    install("acme", offer("steepest", rate=5e-3))
    registry = Registry.load(blocked={"steepest"})
    assert registry.suggester("steepest").suggest(CURVE) == 5e-3


def test_blocking_an_unknown_plugin_is_refused(install):
    """A misspelt name to block is an error that proposes the right one."""
    install("acme-heavy", offer("heavy"), name="acme_heavy")
    with pytest.raises(ConfigError, match=r"'acme_havy'.*did you mean 'acme_heavy'\?"):
        Registry.load(blocked={"acme_havy"})


def test_unknown_suggester_lists_the_known_and_the_failed(install):
    """The error lists all names that would do, proposes the nearest, and says which plugins failed and why."""
    install("acme-good", offer("good"))
    install("acme-broken", "import no_such_module_anywhere")
    module = Net(lr=0.5)
    with pytest.raises(UnknownNameError) as caught:
        tune(quiet_trainer(), module, Blobs(), lr_config(lr_suggester="steepst"))
    message = str(caught.value)
    for part in ("lr_suggester = 'steepst'", "good", *SUGGESTERS, "did you mean 'steepest'?"):
        assert part in message
    assert "plugin 'acme_broken' of acme-broken 1.0 failed: ModuleNotFoundError" in message
    assert module.lr == 0.5


def test_unknown_strategy_lists_the_known():
    """The error for a batch-size mode names the setting and the strategies, not the suggesters."""
    config = TunerConfig(use_batch_size_tuning=True, batch_size_mode="bisect")
    with pytest.raises(UnknownNameError, match=r"batch_size_mode = 'bisect'.*binsearch, power") as caught:
        tune(quiet_trainer(), Net(), Blobs(), config)
    assert "steepest" not in str(caught.value)


def test_two_distributions_may_share_a_plugin_name(install):
    """Two distributions with the same entry-point name are both loaded, and told apart in the list."""
    install("acme-one", offer("one"), name="suggester")
    install("acme-two", offer("two"), name="suggester")
    registry = Registry.load()
    found = {plugin.distribution: plugin for plugin in registry.plugins if plugin.name == "suggester"}
    assert {name: plugin.provides for name, plugin in found.items()} == {
        "acme-one": ["suggester one"],
        "acme-two": ["suggester two"],
    }


def test_order_does_not_depend_on_sys_path(install):
    """Plugins are loaded in the same order wherever they lie, so that the same one wins a collision everywhere."""
    install("b-two", offer("same"))
    install("a-one", offer("same"))
    assert status_of(Registry.load(), "a-one").status == "loaded"
    sys.path[0], sys.path[1] = sys.path[1], sys.path[0]
    registry = Registry.load()
    assert status_of(registry, "a-one").status == "loaded"
    assert status_of(registry, "b-two").status == "failed"


def test_registries_do_not_share_anything(install):
    """What one registry holds, another does not know of."""
    first = Registry.load()
    install("acme", offer("late"))
    second = Registry.load()
    assert second.suggester("late").name == "late"
    with pytest.raises(UnknownNameError):
        first.suggester("late")


OPTIONS = """
from pydantic import BaseModel, Field

class Fraction(BaseModel, extra="forbid"):
    of_minimum: float = Field(0.5, gt=0, le=1)

def suggest(curve, options):
    rates, losses = curve.finite()
    return options.of_minimum * rates[losses.index(min(losses))]

@hookimpl
def lit_autotune_lr_suggesters():
    return [LRSuggester("fraction", suggest, "", options=Fraction)]
"""


@pytest.mark.parametrize(("table", "fraction"), [({}, 0.5), ({"of_minimum": 0.25}, 0.25), ({"of_minimum": "1"}, 1)])
def test_options_reach_the_suggester_validated(install, table, fraction):
    """A suggester gets its table of the settings as its own model, defaults filled in."""
    install("acme", OPTIONS)
    config = lr_config(lr_suggester="fraction", options={"fraction": table})
    result = tune(quiet_trainer(), Net(), Blobs(), config).learning_rate
    rates, losses = result.curve.finite()
    assert result.chosen == pytest.approx(fraction * rates[losses.index(min(losses))])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"fraction": {"of_minimum": 2}}, r"options\.fraction: .*of_minimum.*must be at most 1"),
        ({"fraction": {"minimum": 0.5}}, r"options\.fraction: .*unknown option .minimum."),
        ({"steepest": {"x": 1}}, r"options\.steepest: steepest takes no options"),
        ({"fractoin": {}}, r"options\.fractoin: no plugin of that name is loaded; did you mean 'fraction'\?"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(install, options, complaint):
    """An options table that does not fit is a one-line error that names it, even if that rule is not the one used."""
    install("acme", OPTIONS)
    with pytest.raises(ConfigError, match=complaint) as caught:
        tune(quiet_trainer(), Net(), Blobs(), lr_config(options=options))
    assert "\n" not in str(caught.value)


EVERYTHING = """
calls = []

def search(space):
    calls.append(f"search from {space.init_val} up to {space.max_val}")
    trial = yield space.init_val
    calls.append(f"search told {trial.outcome}")

def suggest(curve):
    calls.append(f"suggest on {len(curve.losses)} points")
    return 0.125

def is_enabled(config):
    calls.append("is_enabled")
    return config.use_learning_rate_tuning

def prepare(context):
    calls.append("prepare")
    return "plan"

def run(context, plan):
    calls.append(f"run {plan} with {len(context.changes)} values found so far")
    return {"answer": 42}

@hookimpl
def lit_autotune_steps():
    calls.append("lit_autotune_steps")
    return [TuningStep("between", run, "", is_enabled=is_enabled, prepare=prepare)]

@hookimpl
def lit_autotune_batch_size_strategies():
    calls.append("lit_autotune_batch_size_strategies")
    return [BatchSizeStrategy("one_size", search, "")]

@hookimpl
def lit_autotune_lr_suggesters():
    calls.append("lit_autotune_lr_suggesters")
    return [LRSuggester("eighth", suggest, "")]

@hookimpl
def lit_autotune_trial_finished(trial):
    calls.append(f"lit_autotune_trial_finished {trial.batch_size} {trial.outcome}")

@hookimpl
def lit_autotune_finished(report):
    calls.append(f"lit_autotune_finished {report.batch_size.chosen} {report.learning_rate.chosen} {report.steps}")
"""


def test_every_hook_is_called_in_its_turn(install):
    """One plugin with every hook there is: what is called when, with what, in a real tuning."""
    hooks = {name for name in vars(hookspecs) if name.startswith("lit_autotune_")}
    assert set(re.findall(r"def (lit_autotune_\w+)", EVERYTHING)) == hooks
    install("acme-all", EVERYTHING)
    registry = Registry.load()
    calls = sys.modules["acme_all"].calls
    assert calls == ["lit_autotune_steps", "lit_autotune_batch_size_strategies", "lit_autotune_lr_suggesters"]
    calls.clear()
    config = lr_config(
        use_batch_size_tuning=True,
        batch_size_mode="one_size",
        batch_size_init_val=8,
        batch_size_max=32,
        lr_suggester="eighth",
        steps=["between"],
    )
    module, data = Net(), Blobs()
    report = tune(quiet_trainer(max_epochs=20), module, data, config, registry=registry)
    assert calls == [
        "is_enabled",
        "prepare",
        "search from 8 up to 32",
        "lit_autotune_trial_finished 8 fits",
        "search told fits",
        "run plan with 1 values found so far",
        f"suggest on {len(report.learning_rate.curve.losses)} points",
        "lit_autotune_finished 8 0.125 {'between': {'answer': 42}}",
    ]
    assert (data.batch_size, module.lr) == (8, 0.125)
    assert report.warnings == ()


def test_third_party_steps_run_by_name_in_their_order(install):
    """Those that the user names, by ascending order; each one's result is in the report under its name."""
    step = """
    def run(context, plan):
        return {{"seen": [setting.value for setting in context.changes], "plan": plan}}

    @hookimpl
    def lit_autotune_steps():
        return [TuningStep({name!r}, run, "", order={order}, is_enabled={enabled})]
    """
    for name, order, enabled in (("last", 300, None), ("first", 50, "lambda config: True"), ("unnamed", 60, "bool")):
        install(f"acme-{name}", textwrap.dedent(step).format(name=name, order=order, enabled=enabled))
    report = tune(quiet_trainer(), Net(lr=0.5), Blobs(), lr_config(steps=["last", "first"]))
    assert report.steps == {"first": {"seen": [], "plan": None}, "last": {"seen": [0.5], "plan": None}}
    assert list(report.steps) == ["first", "last"]


def test_step_result_survives_the_report_file(install):
    """A report with a third-party step's result is the same after a round trip through JSON."""
    install("acme-all", EVERYTHING)
    report = tune(
        quiet_trainer(), Net(), Blobs(), lr_config(use_batch_size_tuning=True, batch_size_max=4, steps=["between"])
    )
    assert report.steps == {"between": {"answer": 42}}
    assert type(report).model_validate_json(report.model_dump_json()) == report


STEP_WITH_OPTIONS = """
from pydantic import BaseModel

class Options(BaseModel):
    times: int = 1

def run(context, plan):
    return context.options.times

@hookimpl
def lit_autotune_steps():
    return [TuningStep("repeat", run, "", options=Options)]
"""


def test_step_reads_its_options(install):
    """A step has a table of options, too, checked before anything runs."""
    install("acme", STEP_WITH_OPTIONS)
    config = lr_config(options={"repeat": {"times": 3}}, steps=["repeat"])
    assert tune(quiet_trainer(), Net(), Blobs(), config).steps == {"repeat": 3}
    with pytest.raises(ConfigError, match=r"options\.repeat: .*times"):
        tune(quiet_trainer(), Net(), Blobs(), lr_config(options={"repeat": {"times": "often"}}))


def in_process_plugin(name="here", rate=1e-3):
    """A module object with hooks that no distribution declares."""
    plugin = types.ModuleType("in_process")

    @hookimpl
    def lit_autotune_lr_suggesters():
        return [LRSuggester(name, lambda curve: rate, "")]

    plugin.lit_autotune_lr_suggesters = lit_autotune_lr_suggesters
    return plugin


def test_registered_object_is_used():
    """A plugin can be given to a registry by hand; it is listed, and its suggester applied."""
    registry = Registry.load()
    registry.register(in_process_plugin(rate=0.125), name="mine")
    assert [plugin.provides for plugin in registry.plugins if plugin.name == "mine"] == [["suggester here"]]
    module = Net()
    tune(quiet_trainer(), module, Blobs(), lr_config(lr_suggester="here"), registry=registry)
    assert module.lr == 0.125


@pytest.mark.parametrize(
    ("plugin", "complaint"),
    [
        (in_process_plugin("steepest"), "suggester 'steepest' is already provided by"),
        (in_process_plugin("no name"), "'no name' is no valid name"),
        (types.ModuleType("empty"), "implements no hook"),
    ],
)
def test_registering_a_broken_object_is_refused(plugin, complaint):
    """A broken plugin given by hand is an error at once, and leaves no trace."""
    registry = Registry.load()
    before = [plugin.name for plugin in registry.plugins], registry.suggesters
    with pytest.raises(PluginError, match=complaint):
        registry.register(plugin, name="mine")
    assert ([plugin.name for plugin in registry.plugins], registry.suggesters) == before
    assert_built_ins_work(registry)


def lr_config(**fields):
    """A quick range test that says nothing but warnings."""
    return TunerConfig(
        **{**AS_FOUND, "use_learning_rate_tuning": True, "lr_min": 1e-5, "lr_num_training": 30, **fields}
    )


def test_it_can_be_sent_to_another_process():
    """There it is loaded anew, without what is blocked and with what was registered by hand, a module included."""
    module = types.ModuleType("sent_along")
    module.lit_autotune_lr_suggesters = hookimpl(
        lambda: [LRSuggester("sent", lambda curve: 1e-3, "")], specname="lit_autotune_lr_suggesters"
    )
    registry = Registry.load(["drop"])
    registry.register(module, "mine")
    sys.modules["sent_along"] = module
    try:
        again = pickle.loads(pickle.dumps(registry))
    finally:
        del sys.modules["sent_along"]
    assert [rule.name for rule in again.suggesters] == [rule.name for rule in registry.suggesters]
    assert "sent" in [rule.name for rule in again.suggesters]
    assert "drop" not in [rule.name for rule in again.suggesters]
