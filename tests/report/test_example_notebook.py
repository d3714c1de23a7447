"""The example notebook runs in a real kernel, and what it shows there is what its reader gets."""

import re
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/notebook/tuning.ipynb"

BROKEN = """
class Broken(Classifier):
    def training_step(self, batch, batch_idx):
        raise ValueError("my own mistake")

tune(trainer, Broken(), Spirals(), config)
"""
REFUSED = "tune(trainer, Classifier(), None, config)"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each cell of code shows, two cells with mistakes added."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(EXAMPLE, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("max_epochs=10", "max_epochs=1")
        assert cell.cell_type == "markdown" or cell.outputs is not None
    mistakes = [nbformat.v4.new_code_cell(source) for source in (BROKEN, REFUSED)]
    for cell in mistakes:
        cell.metadata["tags"] = ["raises-exception"]
    notebook.cells += mistakes
    path = str(tmp_path_factory.mktemp("notebook"))
    NotebookClient(
        notebook, timeout=200, kernel_name="python3", coalesce_streams=True, resources={"metadata": {"path": path}}
    ).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def traceback(output):
    """A traceback's lines without their colours."""
    assert output.output_type == "error"
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(output.traceback))


@pytest.mark.slow
def test_example_notebook(outputs):
    """Progress is one output; a report shows itself with both plots, a figure once; a training with the values runs."""
    _, _, tuning, report, figure, training, *_ = outputs
    [progress] = [one for one in tuning if one.get("name") != "stderr"]
    assert "✓ Suggested learning rate" in progress.text
    assert "━" not in progress.text  # the bars are gone when they are done
    assert max(map(len, re.sub(r"\x1b\[[\d;]*m", "", progress.text).splitlines())) <= 90  # more is broken amid words
    [shown] = report
    assert shown.data["text/html"].count("<svg") == 2
    assert len(shown.data["text/plain"]) < 600
    [shown] = figure
    assert "image/svg+xml" in shown.data
    assert "accuracy" in training[-1].data["text/plain"]


@pytest.mark.slow
def test_errors_in_a_notebook_show_the_users_own_lines(outputs):
    """Of an error in their own code what is shown is that code, of a refusal the sentence; no frames of ours."""
    own, refused = (traceback(one[-1]) for one in outputs[-2:])
    assert 'raise ValueError("my own mistake")' in own
    assert "batch_size_attribute" in refused
    for text in (own, refused):
        assert "trainer.fit" not in text
        assert "orchestrator" not in text
        assert "optimizer.py" not in text
        assert len(text.splitlines()) < 25


@pytest.mark.slow
def test_example_is_kept_with_its_outputs():
    """Who reads it without running it sees what it shows, and nothing of the machine that it ran on."""
    text = EXAMPLE.read_text()
    assert text.count('"execute_result"') == 3
    assert not re.search(r"/home|/tmp|/root|site-packages", text)
