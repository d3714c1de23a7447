"""What a fit changes in the process as a whole, put back afterwards."""

import contextlib
import logging
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from lit_autotune.internals.tensors import forget_worker_watch

LIGHTNING_LOGGERS = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")
HANDLED_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")


@contextlib.contextmanager
def unchanged_process(quiet: bool, generators: Iterable[Any] = ()) -> Iterator[None]:
    """Put back random state, gradient mode and signal handlers afterwards, whatever happens.

    Args:
        quiet: Also silence Lightning's log messages and all Python warnings meanwhile.
        generators: Random generators that belong to no object that is copied; see :func:`outer_generators`.
    """
    silence = _silence() if quiet else contextlib.nullcontext()
    with random_state(generators), _gradient_mode(), _signal_handlers(), silence:
        yield


@contextlib.contextmanager
def random_state(generators: Iterable[Any] = ()) -> Iterator[None]:
    """Put back the state of Python's, NumPy's and torch's generators, those of all devices included, and of others."""
    import torch

    accelerators = [device for device in (torch.cuda, torch.xpu) if device.is_available()]
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy else None
    devices = [device.get_rng_state_all() for device in accelerators]
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    others = [(generator, _state(generator)) for generator in generators]
    try:
        yield
    finally:
        for generator, state in others:
            _set_state(generator, state)
        random.setstate(python)
        torch.set_rng_state(cpu)
        if numpy:
            numpy.random.set_state(numpy_state)
        for device, states in zip(accelerators, devices, strict=True):
            device.set_rng_state_all(states)
        if mps is not None:
            torch.mps.set_rng_state(mps)


def outer_generators(owners: Iterable[Any]) -> list[Any]:
    """Random generators that the user's classes, and the modules that these are defined in, keep for all.

    Args:
        owners: Module and datamodule.
    """
    classes: dict[type, None] = {}
    for owner in owners:
        parts = owner.modules() if hasattr(owner, "modules") else (owner,)
        for part in (*parts, *vars(owner).values()):
            classes.update(dict.fromkeys(type(part).__mro__))
    homes = {cls.__module__ for cls in classes} - {"builtins"}
    spaces = [vars(cls) for cls in classes] + [vars(sys.modules[home]) for home in homes if home in sys.modules]
    found = {id(value): value for space in spaces for value in list(space.values()) if _is_generator(value)}
    return list(found.values())


def _is_generator(value: object) -> bool:
    import torch

    numpy = sys.modules.get("numpy")
    kinds = (numpy.random.Generator, numpy.random.RandomState) if numpy else ()
    return isinstance(value, (random.Random, torch.Generator, *kinds)) and value is not torch.default_generator


def _state(generator: Any) -> Any:
    if hasattr(generator, "bit_generator"):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _set_state(generator: Any, state: Any) -> None:
    if hasattr(generator, "bit_generator"):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


@contextlib.contextmanager
def _gradient_mode() -> Iterator[None]:
    import torch

    enabled = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(enabled)


@contextlib.contextmanager
def _signal_handlers() -> Iterator[None]:
    """Lightning leaves Ctrl-C ignored when it was used to stop a fit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in HANDLED_SIGNALS if hasattr(signal, name)]
    handlers = [signal.getsignal(number) for number in numbers]
    forget_worker_watch()
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            if handler is not None:
                signal.signal(number, handler)
        forget_worker_watch()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LIGHTNING_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
