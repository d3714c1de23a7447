"""Checks of errors, budgets and peaks."""

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from lit_autotune.testing.gpu.figures import Check, Figure
from lit_autotune.testing.gpu.objects import CAP, KINDS, capped, trainer, tuned


def errors_are_recognised(accelerator: str) -> Iterator[Figure]:
    """Out of memory as the allocator, cuBLAS and cuDNN say it."""
    import torch

    from lit_autotune.memory.out_of_memory import is_out_of_memory
    from lit_autotune.memory.release import release_memory

    def allocator() -> None:
        torch.empty(2**45, dtype=torch.uint8, device="cuda")

    def library(run: Callable[[Any], Any], shape: tuple[int, ...]) -> Callable[[], None]:
        def full() -> None:
            x = torch.ones(shape, device="cuda")
            hoard = []
            for size in (2**27, 2**24, 2**21, 2**20):  # all that is left, so that the library's workspace finds none
                with contextlib.suppress(torch.OutOfMemoryError):
                    while True:
                        hoard.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
            run(x)

        return full

    conv = torch.nn.Conv2d(64, 64, 3).cuda() if accelerator == "cuda" else None
    runs = {
        "the allocator": allocator,
        "cuBLAS": library(lambda x: x @ x, (2048, 2048)),
        "cuDNN": library(lambda x: conv(x), (8, 64, 128, 128)),  # type: ignore[misc]
    }
    for name, run in runs.items():
        with capped("1GiB"):
            try:
                run()
                yield Figure(f"out of memory of {name}", "no error came")
            except Exception as error:
                text = f"{type(error).__name__}: {str(error).splitlines()[0][:60]}"
                yield Figure(f"out of memory of {name}", text, is_out_of_memory(error))
        release_memory()


def budget_is_what_is_free(accelerator: str) -> Iterator[Figure]:
    """The budget against what the driver says."""
    import torch

    from lit_autotune.memory.budget import find_budget

    free, total = torch.cuda.mem_get_info()
    budget = find_budget(torch.device("cuda", 0), "auto", 0.1)
    assert budget is not None
    wanted = free + torch.cuda.memory_reserved()
    off = abs(budget.limit - wanted) / total
    yield Figure("budget against free and reserved memory", f"{off:.2%} of the card apart", off < 0.01)


def memory_is_given_back(accelerator: str) -> Iterator[Figure]:
    """After a search that ran out of memory: allocated bytes, copies, the per-process fraction."""
    import torch

    from lit_autotune.memory.release import release_memory

    tuned(accelerator, "GPT", use_batch_size_tuning=True, batch_size_max=4)
    release_memory()
    before, fraction = torch.cuda.memory_allocated(), torch.cuda.get_per_process_memory_fraction()
    report, _, module, _ = tuned(
        accelerator, "GPT", use_batch_size_tuning=True, memory_budget=CAP, trial_isolation="none"
    )
    outcomes = {trial.outcome for trial in report.batch_size.trials}
    here = weakref.ref(module)
    del module, _
    release_memory()
    gc.collect()
    left = torch.cuda.memory_allocated() - before
    yield Figure("bytes still allocated after a search with an out-of-memory error", f"{left}", left == 0)
    yield Figure("outcomes of that search", ", ".join(sorted(outcomes)), bool(outcomes - {"fits"}))
    yield Figure("the module is free afterwards", str(here() is None), here() is None)
    now = torch.cuda.get_per_process_memory_fraction()
    yield Figure("per-process fraction put back", f"{fraction:g} -> {now:g}", now == fraction)


def peaks_are_the_allocators(accelerator: str) -> Iterator[Figure]:
    """A trial's peak against the statistics of torch around a plain fit of that size."""
    import torch

    from lit_autotune.memory.release import release_memory
    from lit_autotune.testing.gpu.models import make

    for kind in KINDS:
        report, *_ = tuned(accelerator, kind, use_batch_size_tuning=True, batch_size_max=32, trial_isolation="none")
        trial = report.batch_size.trials[-1]
        release_memory()
        torch.cuda.reset_peak_memory_stats()
        trainer(accelerator, max_steps=3).fit(*make(kind, batch_size=trial.batch_size))
        reserved = torch.cuda.max_memory_reserved()
        off = (trial.peak_bytes - reserved) / reserved
        yield Figure(f"peak of a trial, {kind}", f"{off:+.1%} against a plain fit", abs(off) < 0.1)


CHECKS: tuple[Check, ...] = (
    errors_are_recognised,
    budget_is_what_is_free,
    memory_is_given_back,
    peaks_are_the_allocators,
)
