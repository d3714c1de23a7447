"""Batch-size tuning with real Trainers and loaders."""

import json
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, TensorDataset

from lit_autotune import BatchSizeError, ConfigError, TunerConfig, TuningError, tune
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.report.batch_size_plot import plot_batch_sizes
from lit_autotune.tuning.context import TuningContext
from lit_autotune.types import BatchSizeTrial
from support import tuning
from support.models import AS_FOUND, Blobs, Net, quiet_trainer


def tuned(*objects, **fields):
    return tuning.tuned(*objects, use_batch_size_tuning=True, **{**AS_FOUND, **fields}).batch_size


class Limited(Net):
    """Does not fit above a limit; notes the sizes it was given in a list that all copies share."""

    def __init__(self, limit, val_limit=10**9):
        super().__init__()
        self.limit, self.val_limit = limit, val_limit

    seen: list  # a class attribute is shared by copies

    def training_step(self, batch, batch_idx):
        self.seen.append(len(batch[1]))
        if len(batch[1]) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        if len(batch[1]) > self.val_limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


@pytest.fixture(autouse=True)
def _forget():
    Limited.seen = []


@pytest.mark.parametrize(
    ("mode", "margin", "expected"), [("power", 0.05, 64), ("binsearch", 0, 100), ("binsearch", 0.05, 95)]
)
def test_largest_size_that_fits(mode, margin, expected):
    """Power stays on powers of two, binsearch is exact; the margin is kept; the size was really run."""
    data = Blobs(samples=5000)
    result = tuned(Limited(100), data, batch_size_mode=mode, batch_size_margin=margin)
    assert (result.chosen, data.batch_size, result.limit) == (expected, expected, "memory")
    assert expected in Limited.seen


def test_first_size_too_large_goes_down():
    """From an initial value that does not fit the search goes down, to 1 if need be."""
    assert tuned(Limited(1), Blobs(), batch_size_init_val=32).chosen == 1


def test_not_even_one_fits():
    """BatchSizeError says so; the batch size is as before."""
    data = Blobs(batch_size=16)
    with pytest.raises(BatchSizeError, match="not even batch size 1 fits"):
        tuned(Limited(0), data)
    assert data.batch_size == 16


def test_too_few_trials():
    """Failures count as trials, and running out of them without an answer is an error."""
    with pytest.raises(BatchSizeError, match="no batch size fits after 3 trials"):
        tuned(Limited(1), Blobs(), batch_size_init_val=64, batch_size_max_trials=3)
    assert len(set(Limited.seen)) == 3


def test_validation_is_part_of_a_trial():
    """A size whose validation batch does not fit does not fit."""

    class WithValidation(Blobs):
        def val_dataloader(self):
            return DataLoader(self.data, batch_size=4 * self.batch_size)

    assert tuned(Limited(1000, val_limit=100), WithValidation()).chosen == 16
    assert tuned(Limited(1000, val_limit=100), WithValidation(), quiet_trainer(limit_val_batches=0)).chosen == 256


@pytest.mark.parametrize("accumulate", [1, 4])
def test_trial_has_three_optimizer_steps(accumulate):
    """At least three steps are run, with accumulated gradients where the Trainer accumulates."""
    tuned(Limited(1000), Blobs(), quiet_trainer(accumulate_grad_batches=accumulate), batch_size_max=8)
    assert [Limited.seen.count(size) for size in (2, 4, 8)] == [3 * min(accumulate, 2)] * 3


def test_data_of_fifty_samples_stop_at_fifty():
    """The search never asks for more than the data hold."""
    assert tuned(Net(), Blobs(samples=50), batch_size_mode="binsearch").chosen == 50
    result = tuned(Net(), Blobs(samples=50))
    assert (result.chosen, result.limit) == (32, "data")


def test_dropped_last_batch_counts_as_too_little_data():
    """With drop_last a size above the number of samples gives no batch, so it is never chosen."""
    assert tuned(Net(), Blobs(samples=50, drop_last=True), batch_size_mode="binsearch").chosen == 50


def test_initial_value_above_the_data():
    """An initial value that the data cannot fill is lowered to what they hold."""
    assert tuned(Net(), Blobs(samples=50), batch_size_init_val=512).chosen == 50


def test_limit_train_batches_leaves_at_least_one_batch():
    """A fraction of the batches must be at least one batch, or fit would do nothing."""
    trainer = quiet_trainer(limit_train_batches=0.25)
    assert tuned(Net(), Blobs(samples=200), trainer, batch_size_mode="binsearch").chosen == 50


class Stream(IterableDataset):
    """A stream of samples that does not know its length."""

    def __init__(self, samples):
        self.inputs, self.labels = torch.randn(samples, 8), torch.zeros(samples, dtype=torch.long)

    def __iter__(self):
        return iter(zip(self.inputs, self.labels, strict=True))


class Streamed(Blobs):
    """A stream instead of a data set."""

    def setup(self, stage):
        self.data = Stream(self.samples)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size, **self.loader_arguments)


@pytest.mark.parametrize("drop_last", [False, True])
def test_stream_ends_before_a_batch_is_full(drop_last):
    """A stream of unknown length is not overrun: the answer is a size that was really filled."""
    data = Streamed(samples=100, drop_last=drop_last)
    result = tuned(Net(), data, batch_size_mode="binsearch")
    assert (result.chosen, result.limit) == (100, "data")


def test_own_batch_sampler():
    """A batch sampler made from the attribute is bounded by its own sampler's length."""

    class Sampled(Blobs):
        def train_dataloader(self):
            sampler = BatchSampler(RandomSampler(self.data, num_samples=40), self.batch_size, drop_last=False)
            return DataLoader(self.data, batch_sampler=sampler)

    assert tuned(Net(), Sampled(), batch_size_mode="binsearch").chosen == 40


def test_several_loaders():
    """With several loaders the one that holds most counts, the shorter ones are cycled."""

    class Two(Blobs):
        def train_dataloader(self):
            small = TensorDataset(*self.data[:30])
            return {
                name: DataLoader(part, batch_size=self.batch_size) for name, part in (("a", small), ("b", self.data))
            }

    class TwoNet(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch["a"], batch_idx) + super().training_step(batch["b"], batch_idx)

    assert tuned(TwoNet(), Two(samples=100), batch_size_mode="binsearch").chosen == 100


def test_hard_coded_batch_size_is_an_error():
    """An attribute that the loader does not read gets a clear error instead of a made-up answer."""

    class HardCoded(Blobs):
        def train_dataloader(self):
            return DataLoader(self.data, batch_size=16)

    data = HardCoded()
    with pytest.raises(ConfigError, match=r"changing datamodule\.batch_size does not change the training batches"):
        tuned(Net(), data)
    assert data.batch_size == 16


def test_batches_made_in_setup_still_follow_the_setting():
    """A batch sampler that setup makes from the batch size is found and made anew for each trial."""

    class MadeInSetup(Blobs):
        def setup(self, stage):
            super().setup(stage)
            self.sampler = BatchSampler(RandomSampler(self.data), self.batch_size, drop_last=False)

        def train_dataloader(self):
            return DataLoader(self.data, batch_sampler=self.sampler)

    assert tuned(Limited(20), MadeInSetup()).chosen == 16


def test_no_batch_size_anywhere():
    """Without the attribute the error says which names were looked for, before anything runs."""

    class Fixed(Blobs):
        def __init__(self):
            super().__init__()
            del self.batch_size

        def setup(self, stage):
            raise AssertionError("ran")

    with pytest.raises(ConfigError, match=r"no batch_size or train_batch_size found in the datamodule or module"):
        tuned(Net(), Fixed())


def test_loader_workers_and_dict_batches():
    """Worker processes, also persistent ones, and batches that are dictionaries work."""

    class Dicts(Blobs):
        def setup(self, stage):
            super().setup(stage)
            self.data = [{"x": x, "y": y} for x, y in self.data]

    class DictNet(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step((batch["x"], batch["y"]), batch_idx)

    data = Dicts(samples=32, num_workers=1, persistent_workers=True)
    assert tuned(DictNet(), data, batch_size_max=8).chosen == 8


def test_user_error_at_a_large_size_is_not_out_of_memory():
    """An error that only mentions memory is the user's and arrives as it is."""

    class Broken(Net):
        def training_step(self, batch, batch_idx):
            if len(batch[1]) > 8:
                raise RuntimeError("memory bank expects 8 samples, got 16")
            return super().training_step(batch, batch_idx)

    with pytest.raises(RuntimeError, match="memory bank expects 8"):
        tuned(Broken(), Blobs())


def test_module_that_skips_every_epoch_does_not_hang():
    """A module that skips all batches ends with an error instead of looping for ever."""

    class Skipping(Net):
        def on_train_batch_start(self, batch, batch_idx):
            return -1

    with pytest.raises(BatchSizeError):
        tuned(Skipping(), Blobs(), batch_size_max_trials=3)
    with pytest.raises(TuningError, match="no optimizer step"):
        tune(quiet_trainer(), Skipping(), Blobs(), TunerConfig(use_learning_rate_tuning=True, verbose=False))


def test_tensors_of_a_failed_trial_are_freed_before_the_next():
    """Nothing keeps the failed step's tensors alive: not the traceback, not our wrappers."""
    refs, alive = [], []

    class Leaky(Net):
        def training_step(self, batch, batch_idx):
            alive.append(sum(ref() is not None for ref in refs))
            activation = self.network(batch[0])
            if len(batch[1]) > 4:
                refs.append(weakref.ref(activation))
                raise torch.OutOfMemoryError("CUDA out of memory")
            return activation.sum()

    assert tuned(Leaky(), Blobs(), batch_size_mode="binsearch", batch_size_margin=0).chosen == 4
    assert len(refs) >= 2
    assert max(alive) == 0


def test_fast_dev_run_tunes_nothing():
    """With fast_dev_run the tuning is skipped with a message, and nothing is returned or changed."""
    data = Blobs(batch_size=16)
    with pytest.warns(UserWarning, match="fast_dev_run"):
        assert tuned(Net(), data, quiet_trainer(fast_dev_run=True)) is None
    assert data.batch_size == 16


def test_context_is_what_steps_are_documented_to_get():
    """A step sees the user's objects and applies values for later steps."""
    assert {"config", "registry", "sandbox", "owners", "console", "changes"} <= set(TuningContext.__dataclass_fields__)
    assert callable(TuningContext.apply)
    assert callable(Sandbox.copies)


REAL_LIMIT = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
import torch
from torch.utils.data import DataLoader, TensorDataset
from lit_autotune import TunerConfig
from support.models import Blobs, Net, quiet_trainer
torch.set_num_threads(1)

class Wide(Net):
    def __init__(self):
        super().__init__(width=8192)

class Many(Blobs):
    def setup(self, stage):
        self.data = TensorDataset(torch.randn(60000, 8), torch.zeros(60000, dtype=torch.long))

trainer, module, data = quiet_trainer(max_epochs=1, limit_train_batches=4), Wide(), Many()
trainer.fit(Wide(), datamodule=Many(batch_size=4))  # let libraries start their threads without a limit
used = int(open("/proc/self/status").read().split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 300 * 2**20,) * 2)
fields = {"batch_size_mode": "binsearch", "batch_size_target": "largest", "verbose": False}
config = TunerConfig(use_batch_size_tuning=True, **fields)
size, _ = config.run_tuning(trainer, module, data)
trainer = quiet_trainer(max_epochs=1, limit_train_batches=4)
trainer.fit(module, datamodule=data)
print(json.dumps([size, data.batch_size, trainer.global_step]))
"""


@pytest.mark.slow
def test_real_memory_limit():
    """Under a real RLIMIT_DATA the limit is found, and the following fit with that size runs."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REAL_LIMIT, str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    size, written, steps = json.loads(done.stdout.splitlines()[-1])
    assert size == written
    assert 500 < size < 10000
    assert steps == 4


def test_the_budget_that_is_told_is_the_one_that_decides(monkeypatch):
    """Free memory changes from moment to moment, so it is asked for once."""
    asked = []

    def limits():
        asked.append((20 - len(asked)) * 2**30)
        return [(asked[-1], "a machine that fills")]

    monkeypatch.setattr("lit_autotune.memory.budget._host_limits", limits)
    result = tuned(Net(), Blobs(), batch_size_max=4, memory_margin=0)
    assert result.budget_bytes == 20 * 2**30
    assert len(asked) == 1


class Swapping(Net):
    """Slows down beyond a size, as a Mac does when a batch no longer fits."""

    def training_step(self, batch, batch_idx):
        time.sleep(0.3 if len(batch[1]) > 32 else 0.01)
        return super().training_step(batch, batch_idx)


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "expected"), [(True, 32), (False, 128)])
def test_thrashing_counts_as_not_fitting(monkeypatch, shared, expected):
    """Where memory is shared with the host a collapse of throughput is the limit. Stands in for MPS, not here."""
    monkeypatch.setattr("lit_autotune.trials.runner.swaps", lambda device: shared)
    result = tuned(Swapping(), Blobs(samples=1000), batch_size_max=128, batch_size_margin=0)
    assert result.chosen == expected
    assert result.fastest == 32


def test_plot_of_the_trials(tmp_path):
    """It is saved where the user says and named in the report; one that cannot be saved is no more than a warning."""
    result = tuned(Net(), Blobs(), save_plot=True, batch_size_max=8, batch_size_plot_path=tmp_path / "plots/memory.png")
    assert result.plot_path.read_bytes().startswith(b"\x89PNG")
    with pytest.warns(UserWarning, match="set batch_size_plot_path"):
        path = tuned(Net(), Blobs(), save_plot=True, batch_size_max=8, batch_size_plot_path="/dev/null/x.png").plot_path
    assert path is None


def test_plot_shows_what_the_trials_were():
    """Every outcome has its mark; budget, line and choice are named; what was never measured is left out."""
    outcomes = {2: ("fits", 100), 32: ("fits", 130), 64: ("over_budget", 200), 128: ("out_of_memory", None)}
    trials = [
        BatchSizeTrial(batch_size=size, outcome=outcome, seconds=1, peak_bytes=peak and peak * 2**20)
        for size, (outcome, peak) in outcomes.items()
    ]

    def legend(*arguments):
        return {text.get_text() for text in plot_batch_sizes(*arguments).axes[-1].get_legend().get_texts()}

    assert legend(trials, 150 * 2**20, 32) == {
        "fits", "over the budget", "out of memory", "line of memory", "budget: 150.0 MiB", "chosen: 32"
    }  # fmt: skip
    assert legend(trials[:1], None, 2) == {"fits", "chosen: 2"}


def test_noise_of_close_sizes_does_not_turn_the_line_in_the_plot():
    """Two sizes next to each other, whose peaks differ by their noise, say nothing of what a sample takes."""
    peaks = {49: 443, 1206: 533, 2358: 610, 2409: 631}
    trials = [BatchSizeTrial(batch_size=b, outcome="fits", seconds=1, peak_bytes=peaks[b] * 2**20) for b in peaks]
    line = plot_batch_sizes(trials, 640 * 2**20, 2409).axes[0].get_lines()[0]
    assert line.get_label() == "line of memory"
    assert 400 < line.get_ydata()[0] < 450
