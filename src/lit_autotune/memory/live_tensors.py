"""How many bytes of tensors are alive, followed operation by operation, and a limit to them."""

import contextlib
import functools
import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from lit_autotune._shared.sizes import format_size
from lit_autotune.internals.tensors import dispatch_mode, leaves, storages


class LiveTensors:
    """Counts the memory of what operations allocate, from when it is followed until it is freed.

    What existed before does not count, nor does what no operation allocated: the data set, NumPy's memory, batches
    from the workers of a ``DataLoader``. Tensors may be real or fake.

    Args:
        limit: Bytes that may be alive at once; ``None``: any number.

    Attributes:
        current_bytes: What is alive now.
        peak_bytes: The most that was alive at once.
    """

    def __init__(self, limit: int | None = None):
        self.limit = limit
        self.current_bytes = self.peak_bytes = 0
        self._alive: dict[int, tuple[weakref.ref[Any], int]] = {}

    @contextlib.contextmanager
    def followed(self) -> Iterator["LiveTensors"]:
        """Follow all operations of this thread, those of its backward passes included."""
        with _mode_class()(self):
            _followed.append(self)
            try:
                yield self
            finally:
                _followed.remove(self)

    def count(self, tensors: Iterable[Any], old: Iterable[Any] = ()) -> None:
        """Count tensors, each memory once.

        Args:
            tensors: What there is now.
            old: What was there before. Memory that is shared with it and not yet counted never counts.

        Raises:
            torch.OutOfMemoryError: If that is more than the limit, by then without what only garbage holds.
        """
        new = {key: storage for key, storage in storages(tensors) if key not in self._alive}
        for key, _ in storages(old) if new else ():
            new.pop(key, None)
        wanted = sum(storage.nbytes() for storage in new.values())
        if self.limit is not None and self.current_bytes + wanted > self.limit and wanted:
            gc.collect()
            if self.current_bytes + wanted > self.limit:
                self._refuse(wanted)
        for key, storage in new.items():
            self._alive[key] = weakref.ref(storage, functools.partial(self._forget, key)), storage.nbytes()
        self.current_bytes += wanted
        self.peak_bytes = max(self.peak_bytes, self.current_bytes)

    def _forget(self, key: int, _: object) -> None:
        self.current_bytes -= self._alive.pop(key)[1]

    def _refuse(self, wanted: int) -> None:
        import torch

        # In the words of CUDA's allocator: much code knows an out-of-memory error by them only.
        raise torch.OutOfMemoryError(
            f"CUDA out of memory. Tried to allocate {format_size(wanted)} with {format_size(self.current_bytes)} "
            f"of {format_size(self.limit or 0)} in use (a simulated limit)"
        )


_followed: list[LiveTensors] = []


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """Set aside all limits in force, and put back the peaks so far: for fake tensors, which take no memory."""
    before = [(live, live.limit, live.peak_bytes) for live in _followed]
    for live, _, _ in before:
        live.limit = None
    try:
        yield
    finally:
        for live, limit, peak in before:
            live.limit, live.peak_bytes = limit, peak


def simulated_limit() -> LiveTensors | None:
    """The smallest limit in force, if there is one: then it stands for the device's memory."""
    limited = (live for live in _followed if live.limit is not None)
    return min(limited, key=lambda live: (live.limit or 0) - live.current_bytes, default=None)


@functools.cache
def _mode_class() -> Any:
    class Following(dispatch_mode()):  # type: ignore[misc]
        """Shows a :class:`LiveTensors` what each operation returns."""

        def __init__(self, live: LiveTensors):
            super().__init__()
            self._live = live

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            # torch.tensor() allocates out of sight, then hands the new memory in; so does from_numpy() with NumPy's.
            lifted = func.overloadpacket.__name__ == "lift_fresh" and args[0].untyped_storage().resizable()
            self._live.count(leaves(result), () if lifted else leaves((args, kwargs)))
            return result

    return Following
