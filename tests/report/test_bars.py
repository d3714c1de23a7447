"""Bars: of a stable width, gone when they are done, none where nobody can see them move."""

import io
import re

import pytest
from rich.console import Console as RichConsole

from lit_autotune.report.bars import EVERY, LINE, LineBar, terminal_bar
from lit_autotune.report.console import Console


def drawn(is_bound, total, notes):
    """All lines that a bar draws in a terminal of 80 columns."""
    file = io.StringIO()
    console = RichConsole(file=file, force_terminal=True, width=80)
    with terminal_bar(console, "range test", total, "steps", is_bound) as bar:
        for note in notes:
            bar.begin(note)
            console.file.flush()
            bar(note)
            bar._update(refresh=True)
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", file.getvalue())
    return [line for line in re.split(r"[\r\n]", text) if line.strip()]


@pytest.mark.parametrize("is_bound", [False, True])
def test_bar_keeps_its_width(is_bound):
    """Whatever is said beside it, nothing jumps, and 80 columns are enough."""
    notes = ["lr 1.0e-08 loss 2.303", "", "lr 1.2e-04 loss 1.234e+10, which is long"]
    lines = drawn(is_bound, 100, notes)
    assert max(map(len, lines)) < 80
    assert len({line.index(" steps") for line in lines}) == 1


def test_bar_counts_what_is_finished_and_comes_to_its_end():
    """What is being done does not count yet; fewer than the bound are all there are, at the end."""
    lines = drawn(True, 25, ["trying 2", "trying 4"])
    assert " 1/25 steps" in lines[0] or " 0/25 steps" in lines[0]
    assert " 2/2 " in lines[-1]


def test_time_that_is_left_is_shown_where_the_end_is_known():
    """A bound says nothing of the time."""
    assert "left" in drawn(False, 100, ["a"])[-1]
    assert "left" not in drawn(True, 100, ["a"])[-1]


def test_line_of_a_notebook_is_written_anew_and_gone_at_the_end(capsys, monkeypatch):
    """All of it is one line that others may take over."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    bar = LineBar("range test", 100, "steps")
    for note in ("first", "second", "much more to say than there is room for in a line"):
        now[0] += 2 * EVERY
        bar.begin(note)
        bar(note)
    bar.clear()
    *lines, cleared, rest = capsys.readouterr().out.split("\r")[1:]
    assert {len(line) for line in lines} == {LINE}
    assert [line.partition("/")[0][-3:].strip() for line in lines] == ["0", "1", "2"]
    assert (cleared.strip(), rest) == ("", "")


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1", "TERM": "dumb"}])
def test_no_bar_where_it_cannot_move(capsys, monkeypatch, environment):
    """In a log, and in a terminal that cannot go back in a line."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Console().progress("range test", 10) as bar:
        bar.begin("one")
        bar("one")
    assert capsys.readouterr().out == ""
