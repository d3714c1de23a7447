"""Completion by the shell: what argcomplete asks of the command, asked in this process."""

import sys

import argcomplete
import pytest

import lit_autotune.__main__
import lit_autotune.cli
from lit_autotune.cli import main


def completions(line, tmp_path, monkeypatch):
    """What the shell is offered for a line with the cursor at its end, through the variables that it sets."""
    answer = tmp_path / "answer"
    asked = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "IFS": "\n", "STDOUT_FILENAME": str(answer)}
    for name, value in asked.items():
        monkeypatch.setenv(name if name.startswith("COMP") else f"_ARGCOMPLETE_{name}", value)
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    # Its messages go to file descriptor 9, which pytest may be using.
    monkeypatch.setattr(argcomplete.CompletionFinder, "_init_debug_stream", lambda finder: None)
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    return [word.strip() for word in answer.read_text().split("\n")]


def test_commands(tmp_path, monkeypatch):
    """``autotune tu<TAB>`` is ``tune``."""
    assert completions("autotune tu", tmp_path, monkeypatch) == ["tune"]


def test_options_but_not_the_former_ones(tmp_path, monkeypatch):
    """Flags of fields are offered; those that only say what took their place are not."""
    offered = completions("autotune tune --batch-size-m", tmp_path, monkeypatch)
    assert {"--batch-size-max", "--batch-size-mode"} <= set(offered)
    offered = completions("autotune fit --tune", tmp_path, monkeypatch)
    assert not [word for word in offered if word.startswith("--tune")]


def test_files(tmp_path, monkeypatch):
    """A target begins with a file."""
    (tmp_path / "train.py").touch()
    assert completions("autotune tune tr", tmp_path, monkeypatch) == ["train.py"]


@pytest.mark.parametrize("module", [lit_autotune.cli, lit_autotune.__main__])
def test_the_word_that_argcomplete_looks_for(module):
    """It is within the first 1024 characters of both entries."""
    with open(module.__file__) as file:
        assert "PYTHON_ARGCOMPLETE_OK" in file.read(1024)


def test_without_argcomplete_the_shell_gets_no_answer(monkeypatch, capsys):
    """No traceback and no command that runs by mistake."""
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    with pytest.raises(SystemExit) as end:
        main(["plugins"])
    assert end.value.code == 1
    assert capsys.readouterr().out == ""
