"""Checks of the sizes found: against plain fits, against the estimate, and with trials in another process."""

from collections.abc import Iterator
from typing import Any

from lit_autotune.testing.gpu.figures import Check, Figure
from lit_autotune.testing.gpu.objects import CAP, KINDS, PRECISIONS, capped, fits, trainer, tuned

CLOSE = 0.05
"""How far from the true largest size, as a share, an answer may be."""


def other_processes_agree(accelerator: str) -> Iterator[Figure]:
    """Trials in a new process find the same size."""
    sizes = {}
    for isolation in ("none", "process"):
        report, *_ = tuned(accelerator, "CNN", use_batch_size_tuning=True, memory_budget=CAP, trial_isolation=isolation)
        sizes[isolation] = report.batch_size.chosen
    yield Figure(
        "size with trials in a new process", f"{sizes['process']}, here {sizes['none']}", len(set(sizes.values())) == 1
    )


def estimates_are_close(accelerator: str) -> Iterator[Figure]:
    """The estimate's peak against the measured one, and what it saves as a first guess."""
    from lit_autotune.estimate.estimate import estimate_batch_sizes
    from lit_autotune.testing.gpu.models import make

    for kind in KINDS:
        (estimate,) = estimate_batch_sizes(trainer(accelerator), *make(kind), memory=CAP)
        fields: dict[str, Any] = {"use_batch_size_tuning": True, "memory_budget": CAP}
        guided, *_ = tuned(accelerator, kind, batch_size_mode="predictive", **fields)
        plain, *_ = tuned(accelerator, kind, batch_size_mode="binsearch", **fields)
        peaks = {t.batch_size: t.peak_bytes for t in guided.batch_size.trials if t.fits and t.peak_bytes}
        size = max(peaks)
        off = dict(estimate.probes).get(size, estimate.peak_bytes * size / (estimate.batch_size or 1)) / peaks[size] - 1
        saved = len(plain.batch_size.trials) - len(guided.batch_size.trials)
        yield Figure(f"estimate, {kind}", f"{off:+.0%} against the peak at {size}; saves {saved} trials of binsearch")


def largest_sizes_are_true(accelerator: str) -> Iterator[Figure]:
    """The size found fits a plain fit, and one that is 5 % larger does not."""
    for kind in KINDS:
        for precision in PRECISIONS:
            fields: dict[str, Any] = {"batch_size_mode": "binsearch", "batch_size_margin": 0.0, "memory_budget": CAP}
            report, *_ = tuned(accelerator, kind, precision, use_batch_size_tuning=True, **fields)
            size = report.batch_size.chosen
            with capped():
                does, larger = fits(accelerator, kind, precision, size), int(size * (1 + CLOSE)) + 1
                too_large = fits(accelerator, kind, precision, larger)
            found = f"{size} {'fits' if does else 'does not fit'}, {larger} {'fits' if too_large else 'does not'}"
            trials = len(report.batch_size.trials)
            yield Figure(f"largest size, {kind}, {precision}", f"{found}; {trials} trials", does and not too_large)


CHECKS: tuple[Check, ...] = (other_processes_agree, estimates_are_close, largest_sizes_are_true)
