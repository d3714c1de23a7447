"""Copies that share data but not state, and what a trial leaves unchanged in the process."""

import contextlib
import copy
import logging
import random
import signal
import sqlite3
import tempfile
import threading
import warnings

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from lit_autotune.copies.process_state import unchanged_process
from lit_autotune.copies.sharing import LONG, detach_results, share_data
from lit_autotune.errors import ConfigError
from support.models import Net
from support.tuning import tuned


class Plain:
    """Any object of the user's, such as a data set of his own."""

    def __init__(self, **values):
        self.__dict__.update(values)


class Slots:
    __slots__ = ("rows", "state")


def copied(**attributes):
    """A datamodule with some attributes, and a copy of it."""
    original = pl.LightningDataModule()
    for name, value in attributes.items():
        setattr(original, name, value)
    memo = {}
    share_data(original, "datamodule", memo, set(), lambda name, value: value)
    return original, copy.deepcopy(original, memo)


@pytest.mark.parametrize(
    "data",
    [
        torch.zeros(3),
        np.zeros(3),
        list(range(LONG + 1)),
        tuple(range(LONG + 1)),
        dict.fromkeys(range(LONG + 1)),
        set(range(LONG + 1)),
        bytearray(3),
        memoryview(b"abc"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_are_shared(data):
    """Tensors, arrays, buffers and long containers are the same objects in the copy."""
    original, made = copied(data=data, nested={"a": [data]}, dataset=Plain(data=data))
    assert made.data is made.nested["a"][0] is made.dataset.data is data
    assert made.nested is not original.nested
    assert made.dataset is not original.dataset


def test_data_sets_share_their_tensors():
    """A data set is copied, what it holds is not; slots are looked into as well."""
    slots = Slots()
    slots.rows, slots.state = torch.zeros(3), [0]
    original, made = copied(train=TensorDataset(torch.zeros(4, 2), torch.zeros(4)), slots=slots)
    assert all(a is b for a, b in zip(made.train.tensors, original.train.tensors, strict=True))
    assert made.train is not original.train
    assert made.slots.rows is original.slots.rows
    assert made.slots.state is not original.slots.state


def test_state_is_copied():
    """Hyperparameters, counters and short containers of the copy are its own."""
    original, made = copied(config={"batch_size": 16}, count=Plain(value=0), seen=[1, 2])
    original.hparams["batch_size"] = 16
    made.config["batch_size"] = made.count.value = 8
    made.seen.append(3)
    made.hparams["batch_size"] = 8
    assert (original.config, original.count.value, original.seen) == ({"batch_size": 16}, 0, [1, 2])
    assert original.hparams["batch_size"] == 16


@pytest.mark.parametrize(
    ("make", "draw"),
    [
        (lambda: torch.Generator().manual_seed(1), lambda generator: torch.rand(3, generator=generator).tolist()),
        (lambda: np.random.default_rng(1), lambda generator: generator.random(3).tolist()),
        (lambda: np.random.RandomState(1), lambda generator: generator.rand(3).tolist()),
        (lambda: random.Random(1), lambda generator: [generator.random() for _ in range(3)]),
        (lambda: iter([1, 2, 3]), list),
    ],
    ids=["torch", "numpy", "numpy of old", "python", "iterator"],
)
def test_generators_are_copied(make, draw):
    """The copy draws the same numbers, and what it draws does not move the original."""
    original, made = copied(generator=make(), dataset=Plain(generator=make()))
    expected = draw(make())
    assert draw(made.generator) == draw(made.dataset.generator) == expected
    assert draw(original.generator) == draw(original.dataset.generator) == expected


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock,
        threading.RLock,
        lambda: sqlite3.connect(":memory:"),
        lambda: open("file.bin", "wb"),  # noqa: SIM115
        lambda: open("file.txt", "w"),  # noqa: SIM115
        tempfile.NamedTemporaryFile,
    ],
    ids=["Lock", "RLock", "database", "binary file", "text file", "temporary file"],
)
def test_handles_are_shared(make):
    """What cannot be copied, such as locks, open files and databases, is the same object in the copy."""
    handle = make()
    original, made = copied(handle=handle, dataset=Plain(handle=handle, rows=[1]))
    assert made.handle is made.dataset.handle is handle
    assert made.dataset.rows is not original.dataset.rows
    if hasattr(handle, "close"):
        handle.close()


def test_object_that_refuses_to_be_copied():
    """An object that refuses a copy, as open HDF5 files do, is shared even if it holds other things."""

    class Stubborn:
        def __init__(self):
            self.name = "shards"

        def __getnewargs__(self):
            raise TypeError("not to be copied")

    original, made = copied(reader=Stubborn())
    assert made.reader is original.reader


def test_running_generator():
    """A generator would be used up by trials, so it is refused, with the attribute that holds it."""
    with pytest.raises(ConfigError, match=r"^datamodule\.dataset\.parts\['train'\] is a running generator"):
        copied(dataset=Plain(parts={"train": (i for i in range(3))}))


def test_cycles():
    """Objects that refer to each other, and to the datamodule, are copied once."""
    first, second = Plain(), Plain()
    first.other, second.other = second, first
    _, made = copied(first=first, second=second)
    assert made.first.other is made.second
    assert made.second.other is made.first


def test_results_of_an_earlier_step():
    """A network that keeps the loss of its last step can be copied; the copy's value is the same."""
    network = torch.nn.Linear(2, 1)
    network.loss, network.history = network(torch.ones(2)).sum(), [network(torch.ones(2))]
    memo = {}
    detach_results(network, memo)
    made = copy.deepcopy(network, memo)
    assert torch.equal(made.loss, network.loss)
    assert torch.equal(made.history[0], network.history[0])
    assert not made.loss.requires_grad
    assert network.loss.requires_grad


def draw_all():
    """A number from each global generator."""
    return random.random(), float(np.random.rand()), float(torch.rand(()))


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("quiet", [False, True])
def test_process_is_as_before(error, quiet):
    """Random state, gradient mode, signal handlers, warnings and log levels are put back, whatever happens."""
    logger = logging.getLogger("lightning.pytorch")
    signals = (signal.SIGINT, signal.SIGTERM)

    def state():
        handlers = [signal.getsignal(number) for number in signals]
        return handlers, torch.is_grad_enabled(), logger.level, list(warnings.filters)

    before = state()
    numbers = [random.getstate(), np.random.get_state(), torch.get_rng_state()]
    expected = draw_all()
    random.setstate(numbers[0])
    np.random.set_state(numbers[1])
    torch.set_rng_state(numbers[2])
    with pytest.raises(error) if error else contextlib.nullcontext(), unchanged_process(quiet):
        draw_all()
        torch.manual_seed(3)
        torch.set_grad_enabled(False)
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        if error:
            raise error
    assert state() == before
    assert draw_all() == expected


def test_gradient_mode_that_was_off():
    """Gradients that were off before are off again, and on inside if the block says so."""
    with torch.no_grad():
        with unchanged_process(quiet=False):
            torch.set_grad_enabled(True)
        assert not torch.is_grad_enabled()


def test_quiet_block(recwarn, caplog):
    """A quiet block shows neither warnings nor Lightning's own messages."""
    with unchanged_process(quiet=True):
        warnings.warn("mine", stacklevel=1)
        logging.getLogger("lightning.pytorch").warning("not shown")
    assert not recwarn.list
    assert not caplog.records


def test_other_threads():
    """Outside of the main thread, where signals cannot be set, all else works."""
    done = []

    def work():
        with unchanged_process(quiet=False):
            torch.manual_seed(3)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


GENERATOR = np.random.default_rng(1)
"""Kept at module level, as many projects do."""


def test_generators_of_classes_and_modules():
    """Generators that no object holds are as before a tuning, too."""

    class Drawing(Net):
        drawn, random = torch.Generator().manual_seed(1), random.Random(1)

        def training_step(self, batch, batch_idx):
            torch.rand(3, generator=self.drawn)
            self.random.random()
            GENERATOR.random()
            return super().training_step(batch, batch_idx)

    before = Drawing.drawn.get_state(), Drawing.random.getstate(), GENERATOR.bit_generator.state
    tuned(Drawing(), use_batch_size_tuning=True, batch_size_max=32)
    assert torch.equal(Drawing.drawn.get_state(), before[0])
    assert (Drawing.random.getstate(), GENERATOR.bit_generator.state) == before[1:]
