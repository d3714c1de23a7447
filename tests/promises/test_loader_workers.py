"""Loaders with worker processes: errors in them, how often they start, and that none is left."""

import gc
import multiprocessing
import os
import signal

import pytest
from torch.utils.data import DataLoader, TensorDataset, default_collate

from support import tuning
from support.models import AS_FOUND, Blobs, Net, blobs, quiet_trainer

pytestmark = pytest.mark.slow

CONFIG = {
    **AS_FOUND,
    "use_batch_size_tuning": True,
    "batch_size_max": 16,
    "use_learning_rate_tuning": True,
    "lr_min": 1e-4,
    "lr_num_training": 10,
    "lr_verify": False,  # races last several epochs, and begin workers anew in each, as any fit does
    "lr_auto_extend": False,
    "lr_suggester": "minimum",
    "verbose": False,
}


def tuned(data, module=None, **fields):
    return tuning.tuned(module or Net(), data, quiet_trainer(max_epochs=1), save_plot=False, **{**CONFIG, **fields})


def assert_no_worker():
    """No worker process is left once nobody holds an error's traceback, and with it the loader."""
    gc.collect()
    assert not multiprocessing.active_children()


class Breaking(Blobs):
    """Fails while it loads a batch, in the data set or in the collate function, from some batch size on."""

    def __init__(self, fail, place, limit=0, **loader_arguments):
        super().__init__(samples=64, **loader_arguments)
        self.fail, self.place, self.limit = fail, place, limit

    def setup(self, stage):
        fail = self.fail

        class Rows(TensorDataset):
            def __getitem__(self, i):
                fail()

        kind = Rows if self.place == "data set" else TensorDataset
        self.data = kind(*blobs(self.samples))
        if self.place == "collate function":
            self.loader_arguments["collate_fn"] = self.collate

    def collate(self, rows):
        if len(rows) > self.limit:
            self.fail()
        return default_collate(rows)


STEPS = {"batch size": {"use_learning_rate_tuning": False}, "learning rate": {"use_batch_size_tuning": False}}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("place", ["data set", "collate function"])
@pytest.mark.parametrize("workers", [0, 1])
def test_error_while_loading(workers, place, step):
    """What the loader raises comes out: the user's own object, or what a worker can send of it."""
    error = ValueError("from the user's code")

    def fail():
        raise error

    data = Breaking(fail, place, num_workers=workers)
    with pytest.raises(ValueError, match="from the user's code") as caught:
        tuned(data, **STEPS[step])
    assert (caught.value is error) == (workers == 0)
    assert data.batch_size == 16
    del caught
    assert_no_worker()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("step", STEPS)
def test_worker_killed(step):
    """A worker that is killed at every size is the loader's error."""
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid.*exited unexpectedly|killed by signal"):
        tuned(Breaking(die, "collate function", num_workers=1), **STEPS[step])
    assert_no_worker()


def test_worker_killed_at_large_sizes():
    """A worker that is killed from some size on, as the kernel does it, did not have enough memory."""
    report = tuned(Breaking(die, "collate function", limit=8, num_workers=1), batch_size_max=64)
    assert report.batch_size.chosen == 8
    assert report.batch_size.limit == "memory"
    assert_no_worker()


class Counted(Blobs):
    """Writes down each start of a worker and each call of its hooks; checks that no worker outlives its fit."""

    def __init__(self, log, **loader_arguments):
        super().__init__(samples=512, **loader_arguments)
        self.log = log

    def note(self, what):
        with self.log.open("a") as file:
            file.write(what + "\n")

    def prepare_data(self):
        self.note("prepare_data")

    def setup(self, stage):
        self.note(f"setup {stage.value}")
        super().setup(stage)

    def teardown(self, stage):
        self.note(f"teardown {stage.value}")

    def loader(self, stage):
        self.note(f"{stage}_dataloader")
        return DataLoader(
            self.data,
            batch_size=self.batch_size,
            worker_init_fn=lambda worker: self.note(f"{stage} worker"),
            **self.loader_arguments,
        )

    def train_dataloader(self):
        return self.loader("train")

    def val_dataloader(self):
        return self.loader("val")


class Watching(Net):
    """Looks at how many workers there are."""

    most = 0

    def training_step(self, batch, batch_idx):
        Watching.most = max(Watching.most, len(multiprocessing.active_children()))
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        pass


@pytest.mark.parametrize("arguments", [{"num_workers": 1}, {"num_workers": 1, "persistent_workers": True}], ids=str)
def test_workers_start_once_per_fit(tmp_path, arguments):
    """Each loader starts its workers once, they end with their fit, and the data are prepared once for all."""
    log = tmp_path / "log.txt"
    Watching.most = 0
    report = tuned(Counted(log, **arguments), Watching())
    notes = log.read_text().splitlines()
    assert len(report.batch_size.trials) == 4
    assert [note for note in notes if "_data" not in note and "worker" not in note] == ["setup fit", "teardown fit"]
    assert notes.count("prepare_data") == 1
    assert notes.count("train worker") == notes.count("train_dataloader")
    assert notes.count("val worker") == len(report.batch_size.trials)
    assert notes.count("val worker") <= notes.count("val_dataloader")  # a dry run only looks at the loader
    assert Watching.most <= 2
    assert not multiprocessing.active_children()


def test_persistent_workers_last_through_a_range_test_of_many_epochs(tmp_path):
    """Where an epoch is shorter than the sweep, persistent workers are started once, as in a fit."""
    log = tmp_path / "log.txt"
    data = Counted(log, num_workers=1, persistent_workers=True)
    data.batch_size = 256
    tuned(data, use_batch_size_tuning=False)
    notes = log.read_text().splitlines()
    assert notes.count("train worker") == notes.count("train_dataloader")


@pytest.mark.parametrize("method", ["validate", "test", "predict"])
def test_data_of_an_evaluation_are_set_up_once(tmp_path, method):
    """An evaluation's trials prepare and set up their data once, too, with the stage that the Trainer gives."""
    log = tmp_path / "log.txt"

    class Evaluated(Counted):
        def test_dataloader(self):
            return self.loader("test")

        predict_dataloader = test_dataloader

    class EvaluatedNet(Watching):
        def test_step(self, batch, batch_idx):
            pass

        predict_step = test_step

    tuned(Evaluated(log), EvaluatedNet(), batch_size_method=method, use_learning_rate_tuning=False)
    notes = [note for note in log.read_text().splitlines() if "loader" not in note]
    assert notes == ["prepare_data", f"setup {method}", f"teardown {method}"]


def test_evaluation_then_range_test(tmp_path):
    """Stages that follow one another are set up once each, and cleaned up once each."""
    log = tmp_path / "log.txt"
    tuned(Counted(log), Watching(), batch_size_method="validate")
    notes = [note for note in log.read_text().splitlines() if "loader" not in note]
    assert sorted(notes) == ["prepare_data", "setup fit", "setup validate", "teardown fit", "teardown validate"]
