"""Tuning killed by Ctrl-C or SIGTERM, as terminals and schedulers send them: nothing goes on, nothing is left."""

import functools
import json
import multiprocessing
import os
import resource
import signal
import time

import lightning.pytorch as pl
import pytest
from torch.utils.data import DataLoader

from lit_autotune import TunerConfig, tune
from lit_autotune.memory.process import read_status
from lit_autotune.planning import preview as comparison
from support.models import quiet_trainer
from support.rigged import CONFIG, Alone, fitted, rigged, state

pytestmark = pytest.mark.slow

CONTEXT = multiprocessing.get_context("fork")
"""Starts a process that has imported everything already, for there are many of these tests."""

MOMENTS = {
    "setup": ("setup", 1),
    "look at the first batch": ("train_dataloader", 1),
    "first step of a trial": ("training_step", 1),
    "last step of a trial": ("training_step", 3),
    "validation of a trial": ("on_validation_batch_end", 1),
    "end of a trial": ("on_train_end", 1),
    "range test": ("training_step", 10),
    "last step of the range test": ("training_step", 16),
    "look at the outcome": ("train_dataloader", 8),
    "clean-up": ("teardown", 1),
    "last batch of an evaluation": ("on_validation_batch_end", 3),
}
"""When the signal comes: at which call of which hook."""

EVALUATION = {"use_learning_rate_tuning": False, "batch_size_method": "validate"}


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch):
    """How long races are, and so how often hooks are called, must not depend on the machine's load."""
    monkeypatch.setattr(comparison, "SECONDS", 60.0)


class Fuse:
    """Sends a signal to the process that tunes, at one call of a hook; counts the runs that begin later, each of which
    asks for its loader first.
    """

    def __init__(self, number, moment, count, loader="train_dataloader"):
        self.number, self.moment, self.count, self.loader = number, moment, count, loader
        self.process, self.begun = os.getpid(), 0

    def __call__(self, hook):
        self.begun += hook == self.loader and self.count <= 0
        self.count -= hook == self.moment
        if hook == self.moment and self.count == 0:
            # A terminal sends Ctrl-C to all processes in the foreground, others send their signal to one.
            (os.killpg if self.number == signal.SIGINT else os.kill)(self.process, self.number)


def in_hooks(fuse):
    """Objects that tell a fuse of each hook that runs."""
    hooks = {hook for hook, _ in MOMENTS.values()} | {"train_dataloader", "val_dataloader"}
    pl.seed_everything(5, verbose=False)
    module = rigged(Alone, {hook: functools.partial(fuse, hook) for hook in hooks})()
    return quiet_trainer(max_epochs=1), module, None


class Apart(Alone):
    """Tells a fuse that it carries along into other processes: a worker that starts, a trial's child."""

    fuse = None
    workers = 0

    def worker_starts(self, worker):
        self.fuse("worker starts")

    def train_dataloader(self):
        self.fuse("train_dataloader")
        size, workers = self.batch_size, self.workers
        return DataLoader(self.samples[0], size, num_workers=workers, worker_init_fn=workers and self.worker_starts)

    def training_step(self, batch, batch_idx):
        self.fuse("training_step")
        return super().training_step(batch, batch_idx)


def apart(fuse, workers=0):
    """Objects for other processes."""
    pl.seed_everything(5, verbose=False)
    module = Apart()
    module.fuse, module.workers = fuse, workers
    return quiet_trainer(max_epochs=1), module, None


def in_process(folder, work):
    """Do some work in a process of its own, as a terminal starts it; returns its exit code and what it says."""

    def main():
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(folder / "empty")
        (folder / "result").write_text(json.dumps(work()))

    (folder / "empty").mkdir()
    process = CONTEXT.Process(target=main)
    process.start()
    process.join(120)
    if process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("the process did not end")
    assert not any((folder / "empty").iterdir())
    assert_gone(process.pid)
    result = folder / "result"
    return process.exitcode, json.loads(result.read_text()) if result.exists() else None


def assert_gone(group):
    """No process of a group is left, or soon will be: a worker looks for its parent every five seconds."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a process is left")


def interrupted(make, fuse, **fields):
    """Tune with a fuse; says how that ended, how many fits began later, and whether all is as before."""
    made = make(fuse)
    before = state(*made)
    try:
        tune(*made, TunerConfig(**CONFIG | fields), save_plot=False)
        end = "went on"
    except BaseException as error:
        end = type(error).__name__
    begun, fuse.moment = fuse.begun, None
    unchanged = state(*made) == before
    return [end, begun, unchanged, fitted(*made) == fitted(*make(fuse))]


def assert_ended(folder, number, work):
    """Ctrl-C comes out as such. SIGTERM ends the process, or raises Lightning's error, as in a fit."""
    code, said = in_process(folder, work)
    if number == signal.SIGTERM and said is None:
        assert code == -signal.SIGTERM
    else:
        end = "KeyboardInterrupt" if number == signal.SIGINT else "SIGTERMException"
        assert said == [end, 0, True, True]


NUMBERS = [pytest.param(number, id=number.name) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_signal_in_a_phase(tmp_path, moment, number):
    """Whenever it comes, no further fit begins, no process or file is left, and the next fit is as if untuned."""
    fields, loader = (EVALUATION, "val_dataloader") if "evaluation" in moment else ({}, "train_dataloader")
    assert_ended(tmp_path, number, lambda: interrupted(in_hooks, Fuse(number, *MOMENTS[moment], loader), **fields))


def test_exit_code_after_sigterm(tmp_path):
    """A script that lets Lightning's error pass must not end as if all had gone well."""

    def work():
        tune(*in_hooks(Fuse(signal.SIGTERM, "training_step", 1)), TunerConfig(**CONFIG), save_plot=False)

    code, said = in_process(tmp_path, work)
    assert said is None
    assert code in (-signal.SIGTERM, 128 + signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_signal_while_workers_start(tmp_path, number):
    """A signal that comes while the main process waits for its first batch."""
    make = functools.partial(apart, workers=1)
    assert_ended(tmp_path, number, lambda: interrupted(make, Fuse(number, "worker starts", 1)))


@pytest.mark.parametrize("number", NUMBERS)
def test_signal_while_a_child_runs_a_trial(tmp_path, number):
    """A signal that comes while the main process waits for a trial in another process, which ends as well."""
    work = functools.partial(interrupted, apart, trial_isolation="process")
    assert_ended(tmp_path, number, lambda: work(Fuse(number, "training_step", 1)))


@pytest.mark.parametrize("number", NUMBERS)
def test_signal_while_a_copy_runs_a_trial(tmp_path, number):
    """The same near the limit, where trials run in copies of the main process."""

    def work():
        budget = f"{read_status()['VmRSS'] // 2**20 + 60}MiB"
        return interrupted(apart, Fuse(number, "training_step", 1), memory_budget=budget, memory_margin=0)

    assert_ended(tmp_path, number, work)


@pytest.mark.parametrize("number", NUMBERS)
def test_signal_under_a_memory_limit(tmp_path, number):
    """A signal that comes while the process may be refused memory, so that trials run more carefully."""

    def work():
        resource.setrlimit(resource.RLIMIT_DATA, (2**40, 2**40))
        return interrupted(in_hooks, Fuse(number, "training_step", 2))

    assert_ended(tmp_path, number, work)
