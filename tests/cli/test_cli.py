"""The autotune command, run as users run it."""

import json
import re
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from lit_autotune import TunerConfig, TuningReport
from lit_autotune.cli import main
from support.command import AUTOTUNE, autotune, autotune_process

TRAIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support.models import Blobs, Net, blobs

class MyNet(Net):
    def __init__(self, lr: float = 1e-3, width: int = 16):
        super().__init__(lr, width)
        self.save_hyperparameters()

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.training_step(batch, batch_idx))

class MyData(Blobs):
    def __init__(self, batch_size: int = 16):
        super().__init__(batch_size)

    def test_dataloader(self):
        return self.train_dataloader()

def factory():
    return MyNet(lr=0.5)

instance = MyNet(lr=0.25)
def broken():
    raise RuntimeError("my own mistake")
"""
CONFIG = """\
# my experiment
test_after_training = true

[tuner_config]
use_batch_size_tuning = true
batch_size_max = 32             # small data
batch_size_target = "largest"
compare = false
use_learning_rate_tuning = true
lr_num_training = 40
lr_min = 1e-5

[trainer_config]
max_epochs = 1
accelerator = "cpu"
logger = false
enable_checkpointing = false

[module_config]
class_path = "train.py:MyNet"
lr = 0.001  # to be tuned

[datamodule_config]
class_path = "train.py:MyData"
batch_size = 16
"""
QUICK = ["--batch-size-max", "8", "--lr-num-training", "30", "--lr-min", "1e-5", "--compare", "false"]


@pytest.fixture
def project(tmp_path):
    """A folder as a user has it: train.py and autotune.toml."""
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "autotune.toml").write_text(CONFIG)
    return tmp_path


@pytest.mark.slow
def test_fit_tunes_then_trains_then_tests(project):
    """`autotune fit` does the whole job of the config file, and shows each step in plain lines in a log."""
    done = autotune_process("fit")
    assert done.returncode == 0, done.stderr
    assert "✓ Optimal batch size found: 32" in done.stdout
    assert re.search(r"Updated optimizer LR: 1\.00e-03 → \d\.\d\de[+-]\d\d", done.stdout)
    assert "chosen" in done.stdout
    assert "test_loss" in done.stdout
    assert (project / ".logs" / "lr_finder_plot.png").read_bytes().startswith(b"\x89PNG")
    assert "\x1b" not in done.stdout.partition("test_loss")[0]


def test_tune_writes_report_and_pins_values(project):
    """`--report` writes JSON that reads back, `--html` a page; `--write` pins values, keeps comments, switches off."""
    done = autotune("tune", "--report", "out/report.json", "--html", "out/report.html", "--write", "autotune.toml")
    assert done.returncode == 0, done.stderr
    page = (project / "out/report.html").read_text()
    assert "autotune tune --report out/report.json --html out/report.html" in page
    assert re.search("lr_num_training</code>.*?<code>40</code>.*?>autotune.toml</td>", page)
    report = TuningReport.model_validate_json((project / "out/report.json").read_bytes())
    text = (project / "autotune.toml").read_text()
    pinned = tomllib.loads(text)
    assert pinned["datamodule_config"]["batch_size"] == report.batch_size.chosen == 32
    assert pinned["module_config"]["lr"] == report.learning_rate.chosen
    assert not pinned["tuner_config"]["use_batch_size_tuning"]
    assert not pinned["tuner_config"]["use_learning_rate_tuning"]
    assert text.startswith("# my experiment")
    assert "# small data" in text
    assert "# to be tuned" in text
    assert text.index("[trainer_config]") < text.index("[module_config]")
    again = autotune("fit")
    assert again.returncode == 0
    assert "TUNING" not in again.stdout


@pytest.mark.parametrize(
    "target", ["train.py:MyNet", "train:MyNet", "train.MyNet", "train.py:factory", "train.py:instance"]
)
def test_targets_of_every_spelling(project, target):
    """Module and file targets work; a class, a factory and an instance, too; the shell's folder is importable."""
    (project / "autotune.toml").unlink()
    done = autotune("tune", target, "train.py:MyData", "--report", "r.json", *QUICK)
    assert done.returncode == 0, done.stderr
    report = TuningReport.model_validate_json((project / "r.json").read_bytes())
    assert report.batch_size.chosen == 8
    assert report.learning_rate.old == {"factory": 0.5, "instance": 0.25}.get(target[9:], 1e-3)


@pytest.mark.slow
def test_tune_turns_both_on_unless_a_layer_says_otherwise(project):
    """Without any setting both run; a flag, a variable or the file can switch one off."""
    (project / "autotune.toml").unlink()
    targets = ("train.py:MyNet", "train.py:MyData", *QUICK)
    done = autotune("tune", *targets, "--no-use-batch-size-tuning")
    assert "BATCH SIZE" not in done.stdout
    assert "LR Range Test" in done.stdout
    done = autotune("tune", *targets, LIT_AUTOTUNE_USE_LEARNING_RATE_TUNING="false")
    assert "BATCH SIZE" in done.stdout
    assert "LR Range Test" not in done.stdout


@pytest.mark.slow
def test_silent_when_not_verbose(project):
    """Nothing is printed by a tuning that is not verbose."""
    done = autotune_process("tune", "--no-verbose")
    assert done.returncode == 0
    assert done.stdout == ""


def test_more_when_debugging(project):
    """is_debug shows where settings are kept and every point of the sweep."""
    done = autotune("tune", "--is-debug")
    assert "learning rate is kept in module.lr, module.hparams.lr" in done.stdout
    assert len(re.findall(r"lr \d\.\d{3}e-\d\d  loss", done.stdout)) >= 30


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["tune", "--config", "nowhere.toml"], 2, "nowhere.toml: no such configuration file"),
        (["tune", "nowhere:Net"], 2, "there is no module 'nowhere'"),
        (["tune", "train.py:MyNett"], 2, "did you mean 'MyNet'"),
        (["tune", "train"], 2, "not of the form"),
        (
            ["tune", "--lr-suggester", "steep"],
            2,
            "lr_suggester = 'steep' is unknown; known are consensus, drop, lightning, minimum, slide, steepest, valley",
        ),
        (["tune", "--batch-size-mode", "powr"], 2, "did you mean 'power'"),
        (["tune", "--lr-min", "2"], 2, "--lr-min: lr_min (2) must be below lr_max (1)"),
        (["tune", "--lr-min", "abc"], 2, "--lr-min: tuner_config.lr_min = 'abc'"),
        (["tune", "-p", "valley"], 2, "must be no:NAME"),
        (["tune", "-p", "no:valey"], 2, "did you mean 'valley'"),
        (["tune", "--no-such-flag"], 2, "unrecognized arguments"),
        (["tune", "--lr-mim", "1e-6"], 2, "did you mean '--lr-min'"),
        (["tune", "--lr-mim", "1e-6"], 2, "usage: autotune tune"),
        (["tun"], 2, "there is no command 'tun'; did you mean 'tune'?"),
        (
            ["tune", "--lr-verify", "foo"],
            2,
            "tuner_config.lr_verify = 'foo': must be true or false or 'auto'",
        ),
        (["tune", "--lr-mode", "cubic"], 2, "must be 'exponential' or 'linear'"),
        (["tune", "--lr-num-training", "1.5"], 2, "must be a whole number"),
        (
            ["tune", "--lr-num-training", "3", "--memory-margin", "2"],
            2,
            "must be below 1.0; --lr-num-training: tuner_config.lr_num_training = '3': must be at least 10",
        ),
        (["estimate", "--memory", "24"], 2, "'24' has no unit; write '24GiB'"),
        (["estimate"], 2, "--memory"),
        (["estimate", "--memory", "24GX"], 2, "memory: '24GX' is not a size such as '24GiB'"),
        (["estimate", "train.py:MyNett", "--memory", "24GiB"], 2, "did you mean 'MyNet'"),
        (["suggest", "train.py"], 2, "no report of lit-autotune"),
        (["suggest", "nowhere.json"], 2, "cannot be read"),
        (["init"], 2, "autotune.toml exists already"),
        ([], 2, "required"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_end_with_one_line_and_code_2(project, arguments, code, message):
    """A mistake of the user is one line on standard error, before anything expensive."""
    done = autotune(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "" or "BATCH SIZE" not in done.stdout


@pytest.mark.slow
def test_users_own_error_keeps_its_traceback(project):
    """An error in the user's code ends with code 1 and its own traceback."""
    done = autotune_process("tune", "train.py:broken")
    assert done.returncode == 1
    assert 'raise RuntimeError("my own mistake")' in done.stderr
    assert "setup_target" not in done.stderr


def test_what_was_found_before_an_error_is_kept(project):
    """`--report` is written, `--write` is not: its file is as before, and one that was only made is gone."""
    change_net(project, RISING)
    done = autotune("tune", "--report", "report.json", "--html", "page.html", "--write", "pinned.toml")
    assert done.returncode == 3
    assert "what was found before the error is kept in report.json and page.html" in done.stderr
    assert "batch size 32" in (project / "page.html").read_text()
    report = TuningReport.model_validate_json((project / "report.json").read_text())
    assert report.batch_size.chosen == 32
    assert report.learning_rate is None
    assert not (project / "pinned.toml").exists()
    assert (project / "autotune.toml").read_text() == CONFIG


def test_the_users_code_does_not_see_our_arguments(project):
    """A script that parses a command line gets an empty one; if it needs more, that is said."""
    train = project / "train.py"
    train.write_text(train.read_text() + "\nimport argparse\nparser = argparse.ArgumentParser()\nparser.parse_args()\n")
    assert autotune("tune", "train.py:MyNet", "train.py:MyData", *QUICK).returncode == 0
    train.write_text(train.read_text().replace("parser.parse_args()", "parser.add_argument('x'); parser.parse_args()"))
    done = autotune("tune", "train.py:MyNet", "train.py:MyData")
    assert done.returncode == 2
    assert "args=[...]" in done.stderr


def change_net(project, methods):
    """Give the user's module further methods."""
    train = project / "train.py"
    train.write_text(train.read_text().replace("    def test_step", methods + "\n    def test_step"))


RISING = """
    def on_train_start(self):
        self.count = 0

    def training_step(self, batch, batch_idx):
        self.count += 1
        return super().training_step(batch, batch_idx) * 0 + self.count
"""
READING = """
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.last = loss.item()
        return loss
"""
SLEEPING = """
    def on_train_start(self):
        import time
        print("STARTED", flush=True)
        time.sleep(60)
"""


def test_nothing_to_tune_is_said(project):
    """With both switches off and no step; nothing is imported or made for that."""
    (project / "train.py").write_text("raise RuntimeError")
    done = autotune("tune", "--no-use-batch-size-tuning", LIT_AUTOTUNE_USE_LEARNING_RATE_TUNING="false")
    assert done.returncode == 0
    assert "nothing to tune: use_batch_size_tuning = false (--use-batch-size-tuning)" in done.stdout
    assert "LIT_AUTOTUNE_USE_LEARNING_RATE_TUNING" in done.stdout


def test_help_has_a_flag_for_each_setting_and_what_it_may_be(capsys):
    """All choices, and the defaults of the subcommand."""
    with pytest.raises(SystemExit):
        main(["tune", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name in set(TunerConfig.model_fields) - {"steps", "options"}:
        assert f"--{name.replace('_', '-')}" in text
    assert "--batch-size-method {fit,validate,test,predict}" in text
    assert "--lr-verify {true,false,auto}" in text
    assert "enable the LR range test (default: true)" in text


def test_no_answer_is_code_3(project):
    """A tuning without an answer ends with code 3 and says why."""
    change_net(project, RISING)
    done = autotune("tune")
    assert done.returncode == 3
    assert "consensus has no suggestion: the loss never falls" in done.stderr


def test_estimate_prints_a_line_for_each_memory(project):
    """`autotune estimate` names size and peak, says that it is an estimate and what it does not see; nothing is run."""
    before = sorted(project.iterdir())
    done = autotune("estimate", "train.py:MyNet", "train.py:MyData", "--memory", "1MiB", "--memory", "24GiB")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *([\d.]+ [GM]iB) +([\d.]+ \wiB) +([\d,]+) +([\d.]+ \wiB)", done.stdout, re.M)
    assert [(memory, usable) for memory, usable, _, _ in rows] == [("1.0 MiB", "921.6 KiB"), ("24.0 GiB", "21.6 GiB")]
    assert int(rows[0][2].replace(",", "")) < int(rows[1][2].replace(",", ""))
    assert "An estimate: nothing was run." in done.stdout
    assert "CUDA context" in done.stdout
    assert sorted(path for path in project.iterdir() if path.name != "__pycache__") == before


def test_estimate_without_an_answer_is_code_3(project):
    """What cannot be traced is named; so is a memory that is too small for anything."""
    done = autotune("estimate", "--memory", "2KiB")
    assert done.returncode == 3
    assert re.search(r"2\.0 KiB +1\.8 KiB +none", done.stdout)
    assert "not even batch size 1 fits" in done.stderr
    change_net(project, READING)
    done = autotune("estimate", "--memory", "24GiB")
    assert done.returncode == 3
    assert re.search(r"train\.py:\d+, in training_step: `self.last = loss.item\(\)` needs the values", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_interrupted_is_code_130(project):
    """Ctrl-C during a trial ends with code 130 and one line."""
    change_net(project, SLEEPING)
    process = subprocess.Popen(
        [AUTOTUNE, "tune"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore Ctrl-C, and so would their children, this test included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while "STARTED" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "autotune: interrupted"


def test_suggest_reads_a_saved_curve(project):
    """`autotune suggest` applies other rules to a report and redraws the plot, without training."""
    autotune("tune", "--report", "r.json")
    (project / "train.py").unlink()
    before = (project / ".logs/lr_finder_plot.png").read_bytes()
    assert autotune("suggest", "r.json", "--suggester", "valley").returncode == 0
    assert (project / "r_valley.png").exists()
    assert (project / ".logs/lr_finder_plot.png").read_bytes() == before
    done = autotune("suggest", "r.json", "--suggester", "valley", "--plot", "new/plot.png")
    assert done.returncode == 0, done.stderr
    report = TuningReport.model_validate_json((project / "r.json").read_bytes())
    for suggestion in report.learning_rate.suggestions:
        value = "-".ljust(8) if suggestion.value is None else f"{suggestion.value:.2e}"
        assert f"{value}  {suggestion.quality}" in done.stdout
    for reason in next(answer.reasons for answer in report.learning_rate.suggestions if answer.suggester == "valley"):
        assert reason in done.stdout
    assert re.search(r"^\* valley", done.stdout, re.M)
    assert (project / "new/plot.png").exists()


def test_init_writes_a_config_that_works(project):
    """The file that `autotune init` writes needs only its class paths changed."""
    (project / "autotune.toml").unlink()
    assert autotune("init").returncode == 0
    text = (project / "autotune.toml").read_text()
    for name in set(TunerConfig.model_fields) - {"options"}:
        assert re.search(rf"^(# )?{name} = ", text, re.M)
    uncommented = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.M))["tuner_config"]
    defaults = dict(TunerConfig())
    given = {name: value for name, value in uncommented.items() if defaults[name] not in (None, [])}
    assert TunerConfig(**given) == TunerConfig(use_batch_size_tuning=True, use_learning_rate_tuning=True)
    assert TunerConfig(**uncommented).batch_size_max == 512  # an example is a valid value
    text = text.replace("Net", "MyNet").replace('"train.py:Data"', '"train.py:MyData"')
    (project / "autotune.toml").write_text(text)
    assert autotune("tune", *QUICK).returncode == 0


def test_config_shows_values_and_sources(project, capsys, monkeypatch):
    """`autotune config` names where each value came from."""
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MAX", "0.5")
    monkeypatch.setenv("LIT_AUTOTUNE_LR_MAXX", "0.5")
    assert main(["config", "--batch-size-mode", "binsearch"]) == 0
    printed = capsys.readouterr()
    lines = {line.split()[0]: line.split()[1:] for line in printed.out.splitlines()}
    assert lines["batch_size_mode"] == ["binsearch", "--batch-size-mode"]
    assert lines["lr_max"] == ["0.5", "LIT_AUTOTUNE_LR_MAX"]
    assert lines["lr_min"] == ["1e-05", "autotune.toml"]
    assert lines["verbose"] == ["true", "default"]
    assert "LIT_AUTOTUNE_LR_MAXX means nothing; did you mean 'LIT_AUTOTUNE_LR_MAX'" in printed.err


def test_plugins_as_json(capsys):
    """`autotune plugins --json` is for programs."""
    assert main(["plugins", "--json"]) == 0
    plugins = {plugin["name"]: plugin for plugin in json.loads(capsys.readouterr().out)["plugins"]}
    assert plugins["steepest"]["distribution"] == "lit-autotune"
    assert plugins["steepest"]["provides"] == ["suggester steepest"]


def test_blocked_plugin_is_gone(project):
    """`-p no:NAME` takes a rule out of the run."""
    done = autotune("tune", "-p", "no:valley", "--report", "r.json")
    assert done.returncode == 0, done.stderr
    report = TuningReport.model_validate_json((project / "r.json").read_bytes())
    asked = [suggestion.suggester for suggestion in report.learning_rate.suggestions]
    assert asked == ["consensus", "drop", "lightning", "minimum", "slide", "steepest"]


@pytest.mark.parametrize(("flag", "points"), [("--quick", 50), ("--thorough", 100)])
def test_presets(project, capsys, flag, points):
    """They stand for the guide's settings, above the file; both at once are refused."""
    assert main(["config", flag]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"lr_num_training +{points} +{flag}", shown)
    with pytest.raises(SystemExit):
        main(["config", "--quick", "--thorough"])
