"""Batch-size trials in other processes, new ones or copies: what they survive, and what the user sees."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import TuningError
from lit_autotune.memory.process import read_status
from support import tuning
from support.models import AS_FOUND, Blobs, Net, quiet_trainer

pytestmark = pytest.mark.slow

MIB = 2**20


BEFORE = set()


@pytest.fixture(autouse=True)
def _know_older_children():
    """Tests before may have left one that stays: Python's own, which watches over shared resources."""
    BEFORE.clear()
    BEFORE.update(children())


def children():
    """Processes that this one has started since the test began and that still run."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    parents = {pid: parent_of(pid) for pid in pids}
    return [pid for pid, parent in parents.items() if parent == os.getpid() and pid not in BEFORE]


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


class Where(Net):
    """Notes which process each step ran in."""

    def training_step(self, batch, batch_idx):
        with open("processes", "a") as file:
            file.write(f"{os.getpid()} {len(batch[1])}\n")
        return super().training_step(batch, batch_idx)


class Dies(Net):
    """Ends its process with a signal above a batch size, after having taken some memory."""

    def __init__(self, number, take=0):
        super().__init__()
        self.number, self.take = number, take

    def training_step(self, batch, batch_idx):
        if len(batch[1]) > 8:
            held = torch.ones(self.take * MIB // 4)
            time.sleep(0.2 * bool(self.take))
            os.kill(os.getpid(), self.number)
            del held
        return super().training_step(batch, batch_idx)


class Locks(Where):
    """Uses a library with a lock of its own."""

    lock = threading.Lock()

    def training_step(self, batch, batch_idx):
        with self.lock:
            return super().training_step(batch, batch_idx)


class DiesInCopies(Net):
    """Ends a process that did not import it, but was copied from one that did, as numba's OpenMP does."""

    home = os.getpid()

    def training_step(self, batch, batch_idx):
        if os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().training_step(batch, batch_idx)


class Raises(Net):
    """Fails with an error of the user's own."""

    def training_step(self, batch, batch_idx):
        raise ValueError("my own mistake")


FIELDS = {**AS_FOUND, "use_batch_size_tuning": True, "batch_size_max": 64, "trial_isolation": "process"}


def tuned(*objects, **fields):
    return tuning.tuned(*objects, **{**FIELDS, **fields}).batch_size


def test_trials_run_in_one_child():
    """All trials share a child; none runs here; it is gone afterwards; peaks are those of this process."""
    result = tuned(Where())
    assert result.chosen == 64
    pids = {line.split()[0] for line in open("processes")}  # noqa: SIM115
    assert len(pids) == 1
    assert str(os.getpid()) not in pids
    assert children() == []
    own = read_status()["VmRSS"]
    assert all(abs(trial.peak_bytes - own) < 300 * MIB for trial in result.trials)


def test_auto_starts_no_child_for_a_small_model():
    """Far from the limit everything runs here."""
    tuned(Where(), trial_isolation="auto")
    assert {line.split()[0] for line in open("processes")} == {str(os.getpid())}  # noqa: SIM115


def near_the_limit(module, datamodule=None, room=50, **fields):
    """Tune where trials need not be sent anywhere, with little left of the memory that may be taken."""
    budget = f"{read_status()['VmRSS'] // MIB + room}MiB"
    fields = {"trial_isolation": "auto", "memory_budget": budget, "memory_margin": 0, "batch_size_margin": 0, **fields}
    return tuned(module, datamodule, **fields)


def test_auto_moves_to_copies_once_a_trial_might_be_killed(monkeypatch):
    """A limit that kills is stood in for by a small one: nearly all of it is taken already."""
    limit = read_status()["VmRSS"] + 50 * MIB
    monkeypatch.setattr("lit_autotune.memory.budget._host_limits", lambda: [(limit, "a small machine")])
    result = tuned(Where(), trial_isolation="auto", memory_margin=0)
    assert "a small machine" in result.budget
    pids = {line.split()[0] for line in open("processes")}  # noqa: SIM115
    assert str(os.getpid()) not in pids
    assert len(pids) == len(result.trials)
    assert children() == []
    assert all(abs(trial.peak_bytes - limit) < 60 * MIB for trial in result.trials)


def test_where_copies_cannot_be_made_auto_moves_to_a_child(monkeypatch):
    """As on a GPU, which this machine lacks: what kills the process is met in one other process."""
    limit = read_status()["VmRSS"] + 50 * MIB
    monkeypatch.setattr("lit_autotune.memory.budget._host_limits", lambda: [(limit, "a small machine")])
    monkeypatch.setattr("lit_autotune.trials.runner.can_fork", lambda device: False)
    tuned(Where(), trial_isolation="auto", memory_margin=0)
    pids = {line.split()[0] for line in open("processes")}  # noqa: SIM115
    assert len(pids) == 1
    assert str(os.getpid()) not in pids


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=lambda number: number.name)
def test_a_copy_killed_with_much_memory_did_not_fit(number):
    """As a child."""
    result = near_the_limit(Dies(number, take=150), room=200, batch_size_mode="binsearch")
    assert result.chosen == 8
    assert number.name in next(trial.message for trial in result.trials if trial.outcome == "out_of_memory")
    assert children() == []


def test_a_copy_that_takes_too_much_is_ended():
    """It is watched from here."""
    result = near_the_limit(Hog(), room=100)
    assert result.chosen == 8
    assert result.limit == "memory"
    assert children() == []


def test_errors_in_a_copy_keep_type_and_traceback():
    """Even those that cannot be sent: the trial is run here once more."""

    class UnsendableError(Exception):
        def __init__(self, lock):
            super().__init__("my own mistake")
            self.lock = lock

    class Fails(Net):
        def training_step(self, batch, batch_idx):
            raise UnsendableError(threading.Lock())

    with pytest.raises(UnsendableError, match="my own mistake") as caught:
        near_the_limit(Fails())
    assert caught.traceback[-1].name == "training_step"
    assert children() == []


class TwoPartsError(Exception):
    """Can be sent, but not received: its arguments are not those that it passes on."""

    def __init__(self, what, where):
        super().__init__(f"{what} in {where}")


class Fails(Net):
    """Fails with an error that cannot be received."""

    def training_step(self, batch, batch_idx):
        raise TwoPartsError("my own mistake", "a step")


def test_errors_in_a_copy_that_cannot_be_received_leave_no_process():
    """As before, and the copy that sent it is gone."""
    with pytest.raises(TwoPartsError, match="my own mistake in a step"):
        near_the_limit(Fails())
    assert children() == []


def test_errors_in_a_child_that_cannot_be_received_are_told():
    """By name and text, not as whatever their receipt fails with."""
    with pytest.raises(RuntimeError, match="TwoPartsError: my own mistake in a step"):
        tuned(Fails())
    assert children() == []


def test_a_copy_that_waits_for_ever_is_given_up(monkeypatch):
    """A lock was held when the copy was made, and who held it is not there to release it: a new process is."""
    monkeypatch.setattr("lit_autotune.trials.forked.STUCK_SECONDS", 2)
    holders = [os.getpid()]  # hooks of forks cannot be taken back
    os.register_at_fork(
        before=lambda: os.getpid() in holders and Locks.lock.acquire(),
        after_in_parent=lambda: os.getpid() in holders and Locks.lock.release(),
    )
    with pytest.warns(UserWarning, match="a copy of this process waits for ever"):
        result = near_the_limit(Locks(), batch_size_max=32)
    holders.clear()
    assert result.chosen == 32
    assert len({line.split()[0] for line in open("processes")} - {str(os.getpid())}) == 1  # noqa: SIM115
    assert children() == []


def test_a_first_copy_that_dies_is_not_believed():
    """Some libraries end a process that was copied: not even much memory says then that the size does not fit."""
    with pytest.warns(UserWarning, match="a copy of this process died"):
        result = near_the_limit(DiesInCopies(), batch_size_max=32)
    assert result.chosen == 32
    assert children() == []


def test_what_is_printed_around_copies_appears_once(capfd):
    """Neither lost in the copy nor, from the original's buffer, printed by both."""

    class Talks(Net):
        def training_step(self, batch, batch_idx):
            print(f"size {len(batch[1])}")
            return super().training_step(batch, batch_idx)

    print("before", end="")
    result = near_the_limit(Talks(), batch_size_max=4)
    lines = capfd.readouterr().out.splitlines()
    assert sum("before" in line for line in lines) == 1
    assert sum("size 4" in line for line in lines) == 3
    assert result.chosen == 4


def test_copies_with_loader_workers_leave_no_process():
    """Also those that are kept from epoch to epoch."""
    module, datamodule = Net(), Blobs(num_workers=1, persistent_workers=True)
    assert near_the_limit(module, datamodule, batch_size_max=4).chosen == 4
    assert children() == []


def test_copies_compute_on_several_threads():
    """OpenMP's threads do not survive a fork, and whoever waits for them waits for ever."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.ones(1000, 1000).exp().sum()  # has the original start its threads
        assert near_the_limit(Wide(), batch_size_max=512).chosen > 0
    finally:
        torch.set_num_threads(before)


class Wide(Net):
    """Large enough for several threads to share an operation."""

    def training_step(self, batch, batch_idx):
        torch.ones(1000, 1000).exp().sum()
        return super().training_step(batch, batch_idx)


def test_running_out_of_memory_in_copies_leaves_no_trace():
    """Neither in the heap, whose holes would count against the limit for ever, nor in oneDNN's threads."""
    code = "import json, test_new_process as it; print(json.dumps(it.tune_under_a_limit()))"
    folders = (Path(__file__).parent, Path(__file__).parents[1])
    place = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=place)
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes, grown, fits = json.loads(done.stdout.splitlines()[-1])
    assert outcomes[0] == "out_of_memory"
    assert outcomes[-1] == "fits"
    assert grown < 60 * MIB  # of the 118 and more that a trial takes: the allocator's own steps are 16 MiB large
    assert fits


def tune_under_a_limit():
    """Outcomes of the trials, by how much the data segment has grown, and whether what was found fits afterwards."""
    torch.set_num_threads(1)
    module, datamodule = Images(), Pictures()
    tuned(module, datamodule, trial_isolation="none", batch_size_max=2)  # loads what it needs
    start = read_status()["VmData"]
    resource.setrlimit(resource.RLIMIT_DATA, (start + 150 * MIB, resource.RLIM_INFINITY))
    # The outputs of the first layer alone take 118 MiB at 1024, and those of its activation as much again.
    fields = {"batch_size_mode": "power", "batch_size_init_val": 1024, "batch_size_max": 1024}
    result = tuned(module, datamodule, trial_isolation="auto", **fields)
    grown = read_status()["VmData"] - start
    quiet_trainer(max_steps=3).fit(module, datamodule=datamodule)
    return [trial.outcome for trial in result.trials], grown, datamodule.batch_size == result.chosen


class Images(Net):
    """Convolutions."""

    def __init__(self):
        super().__init__()
        self.convolutions = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.Conv2d(32, 1, 3))

    def training_step(self, batch, batch_idx):
        return self.convolutions(batch[0]).square().mean()


class Pictures(pl.LightningDataModule):
    """Small random ones."""

    def __init__(self):
        super().__init__()
        self.batch_size = 2
        self.data = TensorDataset(torch.randn(1024, 3, 32, 32))

    def train_dataloader(self):
        return DataLoader(self.data, self.batch_size)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV], ids=lambda number: number.name)
def test_a_child_killed_with_much_memory_did_not_fit(number):
    """As the kernel does it: the trial does not fit, the search goes on in a new child."""
    budget = read_status()["VmRSS"] // MIB + 300
    result = tuned(
        Dies(number, take=250),
        memory_budget=f"{budget}MiB",
        batch_size_margin=0,
        batch_size_mode="binsearch",
        batch_size_max=10,  # 10 and 9 are killed
    )
    assert result.chosen == 8
    assert number.name in next(trial.message for trial in result.trials if trial.outcome == "out_of_memory")
    assert children() == []


def test_a_child_killed_for_no_reason_of_memory_is_an_error():
    """The signal is named; nothing was changed."""
    datamodule = Blobs()
    with pytest.raises(TuningError, match="SIGSEGV, and memory does not explain it"):
        tuned(Dies(signal.SIGSEGV), datamodule)
    assert datamodule.batch_size == 16
    assert children() == []


def test_what_takes_too_much_is_ended_before_the_system_does_it():
    """Without a limit of the system's the child is watched: beyond the budget it is ended."""
    budget = read_status()["VmRSS"] // MIB + 200
    result = tuned(Hog(), memory_budget=f"{budget}MiB", memory_margin=0, batch_size_margin=0)
    assert result.chosen == 8
    assert result.limit == "memory"


class Hog(Net):
    """Takes 400 MiB for a while above a batch size."""

    def training_step(self, batch, batch_idx):
        if len(batch[1]) > 8:
            held = torch.ones(100 * MIB)
            time.sleep(0.5)
            del held
        return super().training_step(batch, batch_idx)


def test_errors_of_the_user_come_out_as_they_are():
    """Same type and message; the child's traceback is attached."""
    with pytest.raises(ValueError, match="my own mistake") as caught:
        tuned(Raises())
    assert "training_step" in "".join(caught.value.__notes__)
    assert children() == []


def test_objects_that_cannot_be_sent_are_tried_here():
    """One sentence says why; the result is the same."""
    module = Net()
    module.handle = open("handle", "w")  # noqa: SIM115
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = tuned(module)
    module.handle.close()
    assert result.chosen == 64
    assert any("the objects cannot be sent to another one" in str(one.message) for one in caught)


def test_classes_of_a_script_are_sent_by_cloudpickle():
    """What was defined in ``__main__`` or in a function travels by value, if cloudpickle is installed."""

    class Local(Net):
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert tuned(Local(), Blobs(samples=20_000)).chosen == 64


def test_set_up_data_are_not_set_up_again_in_the_child():
    """The child starts from what the objects are like after setup."""
    datamodule = SetUpOnce()
    tuned(Net(), datamodule)
    assert open("set_up").read() == "x"  # noqa: SIM115


class SetUpOnce(Blobs):
    """Counts its set-ups in a file."""

    def setup(self, stage):
        with open("set_up", "a") as file:
            file.write("x")
        super().setup(stage)
