"""What the ranks' processes tell each other while they wait for a group: on a board that rank 0's has, in its memory.

They do not use the strategy's own process group for that: there a rank that is gone keeps the others waiting.
"""

import contextlib
import os
import pickle
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from lit_autotune.copies.ranks import Outcome, Weight, on_all_ranks
from lit_autotune.errors import TuningError

LOOK_SECONDS = 0.2
CLOSING_SECONDS = 5.0


class StoppedError(Exception):
    """Raised where there is nothing to wait for any more: work on another rank has failed."""


class GroupError(TuningError):
    """Raised if a group or a rank has ended or stands still, which is no error of the work."""


class Board:
    """What each rank has to say of the work of all.

    Args:
        trainer: The user's Trainer; its processes have found each other.
        patience: Seconds for which a rank may say nothing.

    Attributes:
        address: Host and port, for the processes of the group to find each other, too.
        number: How many pieces of work there were.
    """

    def __init__(self, trainer: Any, patience: float):
        from torch.distributed import TCPStore

        self._rank, self._size, self._patience = trainer.global_rank, trainer.world_size, patience
        host = os.environ.get("MASTER_ADDR", "127.0.0.1") if self._size > 1 else "127.0.0.1"
        # Port 0 is any that is free; timeout: for what follows, nothing here waits longer.
        options = {"wait_for_workers": False, "timeout": timedelta(seconds=max(patience, 1.0))}
        self._store: Any = TCPStore(host, 0, is_master=True, **options) if self._rank == 0 else None
        port = on_all_ranks(trainer, lambda: self._store and self._store.port)[0]
        self._store = self._store or TCPStore(host, port, is_master=False, **options)
        self.address = (host, port)
        self.number = 0
        self._looked = 0.0
        self._heard = (-1, time.monotonic())

    def begin(self) -> None:
        """Begin with the next piece of work."""
        self.number += 1
        self._heard = (-1, time.monotonic())

    def look(self) -> None:
        """Show that this rank is there, and look for the others; to be called often.

        Raises:
            StoppedError: If work on another rank has failed.
            GroupError: If a rank is gone.
        """
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        with _while_rank_0_is_there():
            self._store.add(f"alive/{self._rank}", 1)
            self._listen((self._rank + 1) % self._size)
            lost = self._store.check(["lost"]) and int(self._store.get("lost"))
            failed = self._store.check([self._key("failed")])
        if lost is not False:
            raise GroupError(f"rank {lost} has not been heard of for {self._patience:g} s (trial_timeout)")
        if failed:
            raise StoppedError

    def _listen(self, other: int) -> None:
        """Notice if the next rank says nothing: each has one that listens to it."""
        count, now = self._store.add(f"alive/{other}", 0), time.monotonic()
        if count != self._heard[0]:
            self._heard = count, now
        elif now - self._heard[1] > self._patience and other != self._rank:
            self._store.set("lost", str(other))

    def set_still(self, is_still: bool) -> bool:
        """Say whether work stands still on this rank; returns whether it does so on all."""
        key = self._key(f"still/{self._rank}")
        with _while_rank_0_is_there():
            self._store.add(key, is_still - self._store.add(key, 0))
            return is_still and all(self._is_still(rank) for rank in range(self._size))

    def _is_still(self, rank: int) -> bool:
        is_done: bool = self._store.check([self._key(f"outcome/{rank}")])
        return is_done or bool(self._store.add(self._key(f"still/{rank}"), 0))

    def exchange(self, own: Outcome) -> list[Outcome]:
        """How the work ended, by rank.

        Raises:
            GroupError: If a rank is gone.
        """
        keys = [self._key(f"outcome/{rank}") for rank in range(self._size)]
        with _while_rank_0_is_there():
            self._store.set(keys[self._rank], pickle.dumps(own))
            if own.weight != Weight.FINE:
                self._store.set(self._key("failed"), "")
            while not self._store.check(keys):
                with contextlib.suppress(StoppedError):  # those that are still at work stop, too
                    self.look()
                time.sleep(LOOK_SECONDS / 10)
            return [pickle.loads(self._store.get(key)) for key in keys]

    def close(self) -> None:
        """Leave. Rank 0 waits a moment for the others to have read what they need."""
        with contextlib.suppress(RuntimeError):  # rank 0 has ended
            left = self._store.add("left", 1)
            deadline = time.monotonic() + CLOSING_SECONDS
            while self._rank == 0 and left < self._size and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS / 10)
                left = self._store.add("left", 0)
        self._store = None

    def _key(self, name: str) -> str:
        return f"{self.number}/{name}"


@contextlib.contextmanager
def _while_rank_0_is_there() -> Iterator[None]:
    """Name what it means that the store cannot be reached.

    Raises:
        GroupError: If it cannot.
    """
    try:
        yield
    except RuntimeError as error:  # of torch.distributed, whichever
        raise GroupError("rank 0 has ended, and with it the tuning") from error
