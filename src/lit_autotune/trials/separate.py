"""Runs on copies, and what is done where copies turn out not to be the user's module's equal."""

from collections.abc import Callable
from typing import Any, TypeVar

from lit_autotune.copies.guard import LeakError
from lit_autotune.copies.ranks import everywhere
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError
from lit_autotune.trials.forked import can_fork, in_fork

T = TypeVar("T")


def separately(sandbox: Sandbox, work: Callable[[], T], tell: Callable[..., None] | None = None) -> T:
    """Do some work that runs copies of the user's objects.

    Where it turns out that a copy computes with the user's own weights, it is done once more, and from then on, on the
    user's very objects in a fork of this process, which has them for itself.

    Args:
        sandbox: Makes the copies.
        work: Makes and runs copies; what it returns can be pickled, and what else it changes does not matter. Pickled
            itself, but for the sandbox and ``tell``, where the sandbox has other processes for it.
        tell: A function that it calls.

    Raises:
        ConfigError: If there can be no fork.
    """
    if sandbox.processes:
        rank: int = sandbox.trainer.global_rank
        return everywhere(sandbox, work, tell)[rank]
    if not sandbox.runs_originals:
        try:
            return work()
        except LeakError as error:
            use_originals(sandbox, error)
    result: Any = in_fork(work)
    return result  # type: ignore[no-any-return]


def use_originals(sandbox: Sandbox, leak: LeakError) -> None:
    """Have runs in forks use the user's very objects.

    Raises:
        ConfigError: If there can be no fork.
    """
    trainer = sandbox.trainer
    if not can_fork(trainer.strategy.root_device) or trainer.world_size > 1:
        raise ConfigError(
            f"a trial on copies reached {leak} of your own module (it is as before): a function or object that is kept "
            "outside of the module leads to it; make it a method, or keep it in an attribute of the module"
        ) from None
    sandbox.runs_originals = True
