"""Trainers, settings and plain fits that the checks share. Memory is capped, so that searches end within seconds."""

import contextlib
from collections.abc import Iterator
from typing import Any

from lit_autotune.config import TunerConfig

CAP = "2GiB"
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
KINDS = ("CNN", "GPT", "U-Net")


def trainer(accelerator: str, **arguments: Any) -> Any:
    """A Trainer that writes nothing."""
    import lightning.pytorch as pl

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(
        **{
            "accelerator": accelerator,
            "devices": 1,
            "max_epochs": 1,
            "enable_model_summary": False,
            **quiet,
            **arguments,
        }
    )


def config(**fields: Any) -> TunerConfig:
    """Settings with which nothing is printed and what is found is applied."""
    found = {"verbose": False, "batch_size_target": "largest", "compare": False, "memory_margin": 0.0}
    return TunerConfig(**{**found, **fields})


def tuned(
    accelerator: str, kind: str, precision: str = "32-true", batch_size: int = 4, **fields: Any
) -> tuple[Any, Any, Any, Any]:
    """Tune a model; returns the report, and the Trainer, module and datamodule."""
    from lit_autotune.testing.gpu.models import make
    from lit_autotune.tuning.orchestrator import tune

    objects = (trainer(accelerator, precision=precision), *make(kind, batch_size=batch_size))
    return (tune(*objects, config(**fields), save_plot=False), *objects)


@contextlib.contextmanager
def capped(limit: str = CAP) -> Iterator[None]:
    """Let this process take no more of the device than that, as a plain fit would find it on a smaller card."""
    import torch

    from lit_autotune._shared.sizes import parse_size

    before = (
        torch.cuda.get_per_process_memory_fraction() if hasattr(torch.cuda, "get_per_process_memory_fraction") else 1.0
    )
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, parse_size(limit) / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before)


def fits(accelerator: str, kind: str, precision: str, batch_size: int) -> bool:
    """Whether a plain fit of three steps runs with that size."""
    from lit_autotune.memory.out_of_memory import is_out_of_memory
    from lit_autotune.memory.release import release_memory
    from lit_autotune.testing.gpu.models import make

    try:
        trainer(accelerator, precision=precision, max_steps=3).fit(*make(kind, batch_size=batch_size))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        release_memory()
    return True
