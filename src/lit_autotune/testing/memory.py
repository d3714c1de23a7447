"""Memory that is not there: a limit for real trainings, and an oracle for searches that run nothing."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lit_autotune.memory.live_tensors import LiveTensors


@contextlib.contextmanager
def memory_limit(limit: int) -> Iterator["LiveTensors"]:
    """Let tensors take only so many bytes: beyond that, ``torch.OutOfMemoryError``, in a backward pass, too.

    It works on any device, without memory pressure, around a step, a ``trainer.fit``, a ``tune``::

        with memory_limit(100 * 2**20) as meter:
            trainer.fit(module, datamodule=datamodule)
        print(meter.peak_bytes)

    What counts are tensors that operations of this thread allocate inside: batches, activations, gradients, optimizer
    state, the copies of modules that a ``tune`` works with. What existed before does not count, nor do batches from
    the workers of a ``DataLoader``, nor what other processes do. Limits can be nested.

    Args:
        limit: Bytes that may be alive at once.

    Yields:
        A meter with ``current_bytes`` and ``peak_bytes``.
    """
    from lit_autotune.memory.live_tensors import LiveTensors

    with LiveTensors(limit).followed() as meter:
        yield meter


@dataclass
class MemoryOracle:
    """Stands for a device in which batches up to a size fit: a probe for ``search_batch_size``.

    Without a budget it only says whether a size fits. With one it measures, as a device does: half of the budget is
    taken by any batch, the other half by ``largest`` samples, and what takes more is over the budget::

        oracle = MemoryOracle(largest=100)
        size, trials = search_batch_size(oracle, strategy=my_strategy)
        assert size == 100 and len(oracle.tried) < 12

    Attributes:
        largest: The largest size that fits, in samples.
        budget: Memory that a batch may take, in bytes; to be passed to the search as well.
        tried: The sizes asked for so far, in their order.
    """

    largest: int
    budget: int | None = None
    tried: list[int] = field(default_factory=list)

    def __call__(self, batch_size: int) -> int | None:
        """The peak of a batch in bytes, where there is a budget.

        Raises:
            MemoryError: If it does not fit, where there is none.
        """
        self.tried.append(batch_size)
        if self.budget is not None:
            return (self.budget * (self.largest + batch_size)) // (2 * self.largest)
        if batch_size > self.largest:
            raise MemoryError(f"{batch_size} samples do not fit, {self.largest} do")
        return None
