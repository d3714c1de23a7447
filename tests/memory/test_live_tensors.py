"""The simulated memory limit: real errors, at the byte, without memory pressure."""

import copy
import re

import pytest
import torch
from lightning.pytorch.tuner import Tuner

from lit_autotune import BatchSizeError, TunerConfig, tune
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.testing import memory_limit
from support.models import AS_FOUND, CNN, Blobs, Images, Net, quiet_trainer

pytestmark = pytest.mark.slow

KIB, MIB, ANY = 2**10, 2**20, 2**60


def raised_in(error):
    """Whether an exception came out of a backward pass."""
    names = []
    traceback = error.__traceback__
    while traceback:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return "backward" if "backward" in names else "forward"


def peak_of_a_fit(size, limit=ANY):
    module, data = CNN(), Images(size)
    trainer = quiet_trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=1, num_sanity_val_steps=0)
    with memory_limit(limit) as meter:
        trainer.fit(copy.deepcopy(module), datamodule=data)
    return meter.peak_bytes


def test_limit_is_exact_to_the_byte():
    """What needs just the limit fits; one byte less does not. The error is torch's own, and Lightning knows it."""
    with memory_limit(4000) as meter:
        kept = torch.zeros(1000)
    assert (meter.current_bytes, meter.peak_bytes) == (4000, 4000)
    message = re.escape("Tried to allocate 3.9 KiB with 0 B of 3.9 KiB")
    with pytest.raises(torch.OutOfMemoryError, match=message) as caught, memory_limit(3999):
        torch.zeros(1000)
    assert is_out_of_memory(caught.value)
    assert kept.sum() == 0


def test_only_what_is_new_and_alive_counts():
    """Views, results in place and what existed before cost nothing; freed memory is free again."""
    before = torch.ones(1000)
    numbers = torch.ones(1000).numpy()
    with memory_limit(ANY) as meter:
        view, detached, same = before[10:20], before.detach(), torch.from_numpy(numbers)
        before.add_(1)
        assert meter.peak_bytes == 0
        doubled = before * 2
        part = doubled[:10]
        del doubled
        assert meter.current_bytes == 4000
        del part
        assert meter.current_bytes == 0
        given = torch.tensor([1.0, 2.0])
        assert meter.current_bytes == 8
    assert meter.peak_bytes == 4000
    assert len(view) + len(detached) + len(same) + len(given) == 2012


def test_garbage_is_freed_first():
    """What only a reference cycle holds is no reason to fail."""
    with memory_limit(6000):
        cycle = [torch.zeros(1000)]
        cycle.append(cycle)
        del cycle
        torch.zeros(1000)


def test_limits_can_be_nested():
    """Each limit counts what is inside it, and the narrower one bites."""
    with memory_limit(12_000) as outer:
        first = torch.zeros(1000)
        with memory_limit(5000) as inner:
            second = torch.zeros(1000)
            with pytest.raises(torch.OutOfMemoryError, match=r"of 4\.9 KiB"):
                torch.zeros(1000)
        with memory_limit(ANY), pytest.raises(torch.OutOfMemoryError, match=r"of 11\.7 KiB"):
            torch.zeros(1001)
    assert (outer.current_bytes, inner.current_bytes) == (8000, 4000)
    assert len(first) + len(second) == 2000


def test_optimizer_state_gradients_and_activations_count():
    """After a fit with Adam there are weights, gradients and two moments; the peak has the activations, too."""
    module, data = Net(width=512), Blobs()
    trainer = quiet_trainer(max_epochs=1, limit_train_batches=2)
    with memory_limit(ANY) as meter:
        copied = copy.deepcopy(module)
        weights = meter.current_bytes
        data.setup("fit")
        data.setup = lambda stage: None
        loaded = meter.current_bytes - weights
        trainer.fit(copied, datamodule=data)
        assert weights == sum(4 * p.numel() for p in module.parameters())
        assert meter.current_bytes - loaded == pytest.approx(4 * weights, abs=100)
    assert meter.peak_bytes > 4 * weights + loaded


def test_the_same_each_time():
    """Two equal fits have the same peak, and larger batches a larger one."""
    peaks = [peak_of_a_fit(size) for size in (8, 8, 16)]
    assert peaks[0] == peaks[1] < peaks[2]


def test_a_whole_fit_runs_out_of_memory_forward_and_backward():
    """Every limit below the peak makes the fit fail, somewhere; at the peak it goes through."""
    peak = peak_of_a_fit(16)
    places = set()
    for share in (0.3, 0.7, 0.9, 0.99):
        with pytest.raises(torch.OutOfMemoryError) as caught:
            peak_of_a_fit(16, int(share * peak))
        places.add(raised_in(caught.value))
    assert places == {"forward", "backward"}
    assert peak_of_a_fit(16, peak) == peak


def tuned(limit, mode="binsearch", **fields):
    module, data = CNN(), Images()
    margins = {**AS_FOUND, "batch_size_margin": 0, "memory_margin": 0}
    config = TunerConfig(use_batch_size_tuning=True, verbose=False, batch_size_mode=mode, **{**margins, **fields})
    with memory_limit(limit):
        return tune(quiet_trainer(), module, data, config).batch_size


def fits(size, limit):
    return tuned(limit, "power", batch_size_init_val=size, batch_size_max=size).trials[0].fits


@pytest.mark.parametrize("limit", [2 * MIB, 5 * MIB])
def test_the_limit_decides_what_a_search_finds(limit):
    """An exact search finds the largest size that alone stays below the limit, one that doubles a power of two."""
    found = tuned(limit).chosen
    assert fits(found, limit)
    assert not fits(found + 1, limit)
    assert tuned(limit, "power").chosen == 2 ** (found.bit_length() - 1)


def test_a_simulated_limit_is_a_budget():
    """The search keeps within the margin, and with an estimate it takes few trials, none out of memory."""
    result = tuned(5 * MIB, "predictive", memory_margin=0.1)
    assert "a simulated limit" in result.budget
    assert len(result.trials) <= 4
    assert {trial.outcome for trial in result.trials} <= {"fits", "over_budget"}
    peaks = {trial.batch_size: trial.peak_bytes for trial in result.trials}
    assert 0.95 * 0.9 * 5 * MIB <= peaks[result.chosen] <= 0.9 * 5 * MIB


def test_what_is_held_already_is_no_room_for_the_estimate():
    """The estimate is made for what is left, and its own tensors, which take no memory, do not show in the peak."""
    with memory_limit(6 * MIB):
        held = torch.zeros(2 * MIB // 4)
        config = TunerConfig(use_batch_size_tuning=True, batch_size_mode="predictive", verbose=False)
        result = tune(quiet_trainer(), CNN(), Images(), config).batch_size
        del held
    assert max(trial.peak_bytes for trial in result.trials if trial.fits) <= 0.9 * 6 * MIB
    assert len(result.trials) <= 4
    assert {trial.outcome for trial in result.trials} <= {"fits", "over_budget"}


def test_nothing_fits():
    """A limit that holds little more than the weights leaves no batch size."""
    with pytest.raises(BatchSizeError, match="not even batch size 1 fits"):
        tuned(40 * KIB)


def test_lightnings_own_tuner_obeys_the_limit():
    """Lightning's finder recognises the error and ends at the largest size that its own trials can run."""
    found = {}
    for limit in (2 * MIB, 5 * MIB):
        data = Images()
        with memory_limit(limit):
            found[limit] = Tuner(quiet_trainer()).scale_batch_size(CNN(), datamodule=data, mode="binsearch", margin=0)
    assert 4 < found[2 * MIB] < found[5 * MIB] < 512
