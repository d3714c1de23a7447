"""Checks of fits after a tuning, of strategies that cut the model, and of what tuning costs."""

import time
from collections.abc import Iterator
from typing import Any

from lit_autotune.testing.gpu.figures import Check, Figure
from lit_autotune.testing.gpu.objects import config, trainer, tuned


def fits_are_bit_identical(accelerator: str) -> Iterator[Figure]:
    """A fit after tuning is the one that is got by writing the values in by hand; random state included."""
    import lightning.pytorch as pl
    import torch

    from lit_autotune.testing.gpu.models import make

    fields: dict[str, Any] = {"use_batch_size_tuning": True, "use_learning_rate_tuning": True}
    fields |= {"batch_size_max": 4, "lr_num_training": 20}
    arguments: dict[str, Any] = {"max_steps": 5, "deterministic": True}

    def weights(lr: float | None = None, size: int | None = None) -> tuple[Any, float, int, Any]:
        pl.seed_everything(7, verbose=False)
        module, data = make("CNN")
        if lr is None or size is None:
            from lit_autotune.tuning.orchestrator import tune

            tune(trainer(accelerator, **arguments), module, data, config(**fields), save_plot=False)
        else:
            module.lr, data.batch_size = lr, size
        state = torch.cuda.get_rng_state() if accelerator == "cuda" else torch.get_rng_state()
        trainer(accelerator, **arguments).fit(module, data)
        flat = torch.cat([one.detach().flatten().cpu() for one in module.parameters()])
        return flat, module.lr, data.batch_size, state

    before = torch.are_deterministic_algorithms_enabled()
    try:
        after, lr, size, state = weights()
        by_hand, *_, state_by_hand = weights(lr, size)
    finally:
        torch.use_deterministic_algorithms(before)
    differing = int((after != by_hand).sum())
    yield Figure("fit after tuning, bit by bit", f"{differing} weights differ", differing == 0)
    is_kept = bool(torch.equal(state, state_by_hand))
    yield Figure("random state of the device", "unchanged" if is_kept else "changed", is_kept)


def overhead_is_told(accelerator: str) -> Iterator[Figure]:
    """A trial of three steps and a range test of 100 against a bare loop of as many."""
    from lit_autotune.testing.gpu.models import make

    device = "cuda" if accelerator == "cuda" else "cpu"
    module, data = make("CNN", batch_size=32)
    module.to(device)
    optimizer, batches = module.configure_optimizers(), iter(data.train_dataloader())

    def steps(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            x, y = next(batches)
            loss = module.training_step((x.to(device), y.to(device)), 0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            float(loss)
        return time.perf_counter() - start

    steps(3)
    bare_trial, bare_sweep = steps(3), steps(100)
    fields: dict[str, Any] = {"batch_size_init_val": 32, "batch_size_max": 32, "trial_isolation": "none"}
    report, *_ = tuned(accelerator, "CNN", use_batch_size_tuning=True, **fields)
    trial = report.batch_size.trials[-1].seconds
    yield Figure("a trial of 3 steps", f"{trial:.2f} s, bare {bare_trial:.2f} s")
    start = time.perf_counter()
    tuned(accelerator, "CNN", batch_size=32, use_learning_rate_tuning=True, lr_verify=False, lr_auto_extend=False)
    yield Figure(
        "a range test of 100 steps, all of the tuning", f"{time.perf_counter() - start:.1f} s, bare {bare_sweep:.1f} s"
    )


def sharded_strategies_run(accelerator: str) -> Iterator[Figure]:
    """One process of strategies that cut the model."""
    from importlib.util import find_spec

    from lit_autotune.testing.gpu.models import make
    from lit_autotune.tuning.orchestrator import tune

    settings = config(use_batch_size_tuning=True, batch_size_max=8)
    for name in ("fsdp", *(["deepspeed_stage_2"] if find_spec("deepspeed") else [])):
        try:
            report = tune(trainer(accelerator, strategy=name), *make("GPT"), settings, save_plot=False)
            size = report.batch_size.chosen if report.batch_size else None
            yield Figure(f"strategy {name}, one process", f"batch size {size}", size == 8)
        except Exception as error:
            text = f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"
            yield Figure(f"strategy {name}, one process", text, False)


CHECKS: tuple[Check, ...] = (fits_are_bit_identical, overhead_is_told, sharded_strategies_run)
