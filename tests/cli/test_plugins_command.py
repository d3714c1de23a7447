"""`autotune plugins`: the list, all about one plugin, the check, and the list cut short by a pipe."""

import json
import os
import subprocess
import sys

import pytest

from lit_autotune.cli import main
from lit_autotune.errors import ExitCode
from support.command import autotune
from support.plugins import offer

FRACTION = """
from pydantic import BaseModel, Field

class Fraction(BaseModel, extra="forbid"):
    of_minimum: float = Field(0.5, gt=0, le=1, description="share of the minimum's rate")
    names: list[str] = Field(default_factory=list)
    seed: int

@hookimpl
def lit_autotune_lr_suggesters():
    return [LRSuggester("fraction", float, "a share of the minimum's rate", options=Fraction)]
"""


def test_all_about_a_plugin(install, tmp_path):
    """Its module, file, version, what it provides with its summary, options with types and defaults."""
    install("acme-rules", FRACTION, name="acme")
    said = autotune("plugins", "acme")
    assert (said.returncode, said.stderr) == (0, "")
    for line in (
        "acme: loaded",
        "  distribution  acme-rules 1.0",
        "  module        acme_rules",
        f"  file          {tmp_path}/site-acme-rules/acme_rules.py",
        "  suggester     fraction: a share of the minimum's rate",
        "    [tuner_config.options.fraction]",
        "    of_minimum: float = 0.5  share of the minimum's rate",
        "    names: list[str] = []",
        "    seed: int (must be given)",
    ):
        assert line in said.stdout.splitlines()
    assert autotune("plugins", "acme-rules:acme").stdout == said.stdout


def test_all_about_a_plugin_as_json(install):
    """The same for programs."""
    install("acme", FRACTION)
    [plugin] = json.loads(autotune("plugins", "acme", "--json").stdout)["plugins"]
    [record] = plugin["records"]
    assert (record["kind"], record["name"]) == ("suggester", "fraction")
    assert record["options"][0]["default"] == "0.5"
    assert plugin["file"].endswith("acme.py")


def test_all_about_a_plugin_that_failed(install):
    """Why, its file, and the whole traceback; nothing of it is imported to find that out."""
    install("acme-broken", "def f():\n    raise KeyError('gone')\nf()", name="acme")
    said = autotune("plugins", "acme").stdout
    assert "acme: failed" in said
    assert "KeyError: 'gone'" in said
    assert "acme_broken.py" in said
    assert "Traceback (most recent call last)" in said
    assert "in f" in said


def test_a_blocked_plugin_is_shown_without_importing_it(install):
    """Where it lies is known all the same."""
    install("acme", offer("one"))
    said = autotune("plugins", "acme", "-p", "no:acme").stdout
    assert "acme: blocked" in said
    assert "acme.py" in said
    assert "acme" not in sys.modules


def test_a_built_in_plugin_is_shown_likewise():
    """With what it provides."""
    assert "suggester     steepest: " in autotune("plugins", "steepest").stdout


def test_an_unknown_name_is_refused(install):
    """With what was meant."""
    install("acme", offer("one"))
    said = autotune("plugins", "acmee")
    assert (said.returncode, said.stderr) == (
        2,
        "autotune: no plugin 'acmee' is installed; did you mean 'acme'?\n",
    )


def test_check(install):
    """Exit code 4 if one has failed, after the list; 0 if none has, or if that one is blocked."""
    assert autotune("plugins", "--check").returncode == ExitCode.OK
    install("acme", "import no_such_module")
    said = autotune("plugins", "--check")
    assert said.returncode == ExitCode.PLUGIN
    assert "ModuleNotFoundError" in said.stdout
    assert "1 of 14 failed: plugin 'acme' of acme 1.0" in said.stderr
    assert autotune("plugins", "--check", "steepest").returncode == ExitCode.OK
    assert autotune("plugins", "--check", "-p", "no:acme").returncode == ExitCode.OK
    assert autotune("plugins").returncode == ExitCode.OK


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes")
@pytest.mark.parametrize("arguments", [["plugins", "--json"], ["plugins"], ["config"]])
def test_a_reader_that_goes_away(arguments):
    """As `| head -1` does: no traceback, whoever prints."""
    code = f"import sys; from lit_autotune.cli import main; sys.exit(main({arguments!r}))"
    read, write = os.pipe()
    os.close(read)  # nobody reads from the start
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.stderr, done.returncode) == ("", ExitCode.UNEXPECTED)


def test_a_broken_pipe_of_the_users_is_an_error(tmp_path):
    """Only our own output may go nowhere in silence."""
    (tmp_path / "train.py").write_text("raise BrokenPipeError('mine')\n")
    with pytest.raises(BrokenPipeError, match="mine"):
        main(["tune", "train.py:Net", "train.py:Data"])
