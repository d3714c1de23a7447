"""Tuning once: the result is reused for the same thing only, and the user is told which."""

import pytest

from lit_autotune import TuningReport
from lit_autotune.cli import main
from lit_autotune.testing import memory_limit
from support.models import Blobs, Net, quiet_trainer
from support.tuning import BOTH, tuned

FEW = {
    **BOTH,
    "lr_num_training": 20,
    "batch_size_max": 32,
    "batch_size_target": "largest",
    "compare": False,
    "cache": "results",
}


class Counting(Net):
    """Counts the training steps of all its copies."""

    steps = 0

    def training_step(self, batch, batch_idx):
        Counting.steps += 1
        return super().training_step(batch, batch_idx)


@pytest.fixture(autouse=True)
def _from_nothing():
    Counting.steps = 0


def test_the_second_tuning_runs_nothing(capsys):
    """It has the same values and trials, writes them, and says so."""
    first = tuned(Counting(), **FEW)
    steps = Counting.steps
    module, data = Counting(), Blobs()
    second = tuned(module, data, **{**FEW, "verbose": True})
    assert (Counting.steps, first.reused) == (steps, None)
    assert second.reused is not None
    assert (module.lr, data.batch_size) == (first.learning_rate.chosen, first.batch_size.chosen)
    assert (second.batch_size, second.learning_rate) == (first.batch_size, first.learning_rate)
    assert second.keep == first.keep != ()
    said = capsys.readouterr().out
    assert "Reused: found on" in said
    assert "of an earlier tuning" in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"module": Counting(width=8)}, "module: "),
        ({"trainer": quiet_trainer(gradient_clip_val=1.0)}, "Trainer: gradient_clip_val was nothing, is 1.0"),
        ({"lr_num_training": 21}, "settings: lr_num_training was 20, is 21"),
    ],
)
def test_for_another_thing_it_is_tuned_again_and_said_why(change, told, capsys):
    """The most similar result is what it is compared with."""
    tuned(Counting(), **FEW)
    steps = Counting.steps
    report = tuned(**{"module": Counting(), **FEW, "verbose": True, **change})
    assert report.reused is None
    assert Counting.steps > steps
    assert f"No earlier result is reused: {told}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_size_that_would_not_fit_now_is_not_reused(capsys):
    """Memory may be taken by something else than at the time."""
    with memory_limit(2**23):
        first = tuned(Counting(), **{**FEW, "batch_size_max": 256})
    peaks = {trial.batch_size: trial.peak_bytes for trial in first.batch_size.trials}
    with memory_limit(peaks[256]):
        second = tuned(Counting(), **{**FEW, "batch_size_max": 256, "verbose": True})
    assert "No earlier result is reused: batch size 256 took" in capsys.readouterr().out
    assert second.batch_size.chosen < first.batch_size.chosen


@pytest.mark.slow
def test_more_memory_is_a_reason_to_search_again(capsys):
    """Where memory was what ended the search."""
    with memory_limit(60_000):
        first = tuned(Counting(), **{**FEW, "batch_size_max": 256})
    assert first.batch_size.limit == "memory"
    with memory_limit(200_000):
        second = tuned(Counting(), **{**FEW, "batch_size_max": 256, "verbose": True})
    assert "might be taken, and now" in capsys.readouterr().out
    assert second.batch_size.chosen > first.batch_size.chosen


def test_without_the_setting_nothing_is_kept(tmp_path):
    """Neither in the folder that the system has for it."""
    tuned(Counting(), **{**FEW, "cache": False})
    assert not (tmp_path / "results").exists()


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path):
    """What was found is not lost by it."""
    (tmp_path / "results").write_text("a file")
    with pytest.warns(UserWarning, match="could not be kept"):
        report = tuned(Counting(), **FEW)
    assert report.learning_rate.applied


def test_what_fails_is_not_kept(tmp_path):
    """Nor is what was found before it."""

    class Broken(Counting):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        tuned(Broken(), **FEW)
    assert not (tmp_path / "results").exists()


def test_the_command_lists_shows_and_clears(capsys):
    """What is kept, by the beginning of a key."""
    report = tuned(Counting(), **FEW)
    assert main(["cache", "list", "--folder", "results"]) == 0
    listed = capsys.readouterr().out
    assert f"{report.learning_rate.chosen:.2e}" in listed
    key = listed.splitlines()[1].split()[0]
    assert main(["cache", "show", key[:4], "--folder", "results"]) == 0
    assert f"datamodule.batch_size = {report.batch_size.chosen}" in capsys.readouterr().out
    assert main(["cache", "show", "nonsense", "--folder", "results"]) == 2
    assert "no result of that key" in capsys.readouterr().err
    assert main(["cache", "clear", key, "--folder", "results"]) == 0
    assert main(["cache", "list", "--folder", "results"]) == 0
    assert "nothing is kept" in capsys.readouterr().out


def test_a_report_says_when_it_is_an_earlier_one():
    """And survives the round trip through JSON."""
    tuned(Counting(), **FEW)
    report = tuned(Counting(), **FEW)
    assert TuningReport.model_validate_json(report.model_dump_json()) == report
