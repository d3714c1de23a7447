"""What a process of a group does with a piece of work: it meets the others, does it, and parts from them."""

import io
import pickle
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from lit_autotune._shared.text import first_line
from lit_autotune.copies.attributes import Setting
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError
from lit_autotune.internals.strategies import meet_at
from lit_autotune.memory.release import freeze_once, release_memory

TELL_SECONDS = 0.5
"""A process says that it goes on, at most so often."""

SANDBOX, TELL = "sandbox", "tell"


class Seat(NamedTuple):
    """Where a process meets the others.

    Attributes:
        address: Host and port of the store that they find each other with.
        number: Of the piece of work.
        rank: Of the process.
        size: How many there are.
        timeout: Seconds to wait for the others.
    """

    address: tuple[str, int]
    number: int
    rank: int
    size: int
    timeout: float


def pickled(work: Callable[[], Any], sandbox: Sandbox, tell: Any) -> bytes:
    """Work for another process, which has a sandbox of its own and another way to tell something.

    Raises:
        ConfigError: If it cannot be pickled, not by cloudpickle either if that is there.
    """
    reason = ""
    for base in _picklers():

        class Pickler(base):  # type: ignore[misc, valid-type]
            def persistent_id(self, part: Any) -> str | None:
                if part is sandbox:
                    return SANDBOX
                return TELL if tell is not None and part is tell else None

        file = io.BytesIO()
        try:
            Pickler(file).dump(work)
        except Exception as error:  # foreign functions refuse in many ways
            reason = first_line(error)
            continue
        return file.getvalue()
    raise ConfigError(f"what is to be done on copies cannot be sent to the processes that do it ({reason})")


def _picklers() -> list[Any]:
    """Pickle's own class, and that of cloudpickle if it is there, which also takes functions made in functions."""
    try:
        import cloudpickle  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        return [pickle.Pickler]
    return [pickle.Pickler, cloudpickle.Pickler]


class _WorkUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, here: dict[str, Any]):
        super().__init__(io.BytesIO(data))
        self._here = here

    def persistent_load(self, pid: str) -> Any:
        return self._here[pid]


def take_part(
    sandbox: Sandbox, tell: Callable[[Any], None], seat: Seat, values: dict[Setting, Any], work: bytes
) -> Any:
    """Do a piece of work together with the other processes of a group.

    Args:
        sandbox: This process's sandbox.
        tell: Tells the parent something: arguments for the work's own ``tell``, or ``None``.
        seat: Where to meet the others.
        values: What to write to all copies.
        work: The pickled work.
    """
    import torch

    sandbox.values, sandbox.is_together = values, True
    sandbox.on_batch = _sometimes(lambda: tell(None))
    wait = timedelta(seconds=seat.timeout)
    store = torch.distributed.TCPStore(*seat.address, is_master=False, wait_for_workers=False, timeout=wait)
    # Groups that a strategy makes for itself, of a mesh say, would pile up: each piece of work begins without any.
    meet_at(sandbox.trainer, torch.distributed.PrefixStore(f"group/{seat.number}", store), seat.rank, seat.size)
    here = {SANDBOX: sandbox, TELL: lambda *arguments: tell(arguments)}
    result = _WorkUnpickler(work, here).load()()
    # Not after an error: others may be waiting in a collective, and it ends with this process.
    release_memory()
    freeze_once()  # to look through all that is imported each time would take longer than a small trial
    torch.distributed.destroy_process_group()
    return result


def close(sandbox: Sandbox, tell: Callable[[Any], None]) -> None:
    """Undo what ``setup`` did."""
    sandbox.close()


def _sometimes(function: Callable[[], None]) -> Callable[[], None]:
    last = 0.0

    def limited() -> None:
        nonlocal last
        if time.monotonic() - last > TELL_SECONDS:
            last = time.monotonic()
            function()

    return limited
