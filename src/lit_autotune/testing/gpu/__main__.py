"""``python -m lit_autotune.testing.gpu``."""

import sys
import time

from lit_autotune.testing.gpu import fit_checks, memory_checks, size_checks
from lit_autotune.testing.gpu.figures import Check, run, table

CHECKS: tuple[Check, ...] = (*memory_checks.CHECKS, *fit_checks.CHECKS, *size_checks.CHECKS)
"""All checks, the longest last."""


def main() -> int:
    """Run all checks and print the table; returns 1 if anything is not as it should be."""
    import lightning
    import torch

    if not torch.cuda.is_available():
        print("there is no CUDA device here, so nothing was run")
        return 0
    start = time.perf_counter()
    figures = run("cuda", CHECKS)
    card = torch.cuda.get_device_properties(0)
    versions = f"torch {torch.__version__}, lightning {lightning.__version__}, CUDA {torch.version.cuda}"
    seconds = time.perf_counter() - start
    print(table(f"On {card.name}, {card.total_memory / 2**30:.0f} GiB, {versions}, in {seconds:.0f} s:", figures))
    return int(any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
