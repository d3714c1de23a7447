"""Step ``workers``: how much of a step waits for data, and how many workers hide that."""

import os
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from lit_autotune import ConfigError, TuningStep, hookimpl
from lit_autotune_workers.decide import Tried, candidates, hides, measured

if TYPE_CHECKING:
    from lit_autotune import TuningContext

NAMES = ("num_workers", "persistent_workers", "prefetch_factor")


class Options(BaseModel):
    """Options of the step."""

    steps: int = Field(40, ge=4, description="steps of each try; the second half is measured")
    most_workers: int | None = Field(None, ge=1, description="the most to try; by default as many as CPU cores")
    most_waiting: float = Field(0.1, ge=0, lt=1, description="share of a step that may wait for data")


def check(context: "TuningContext") -> None:
    """Refuse a datamodule without the setting.

    Raises:
        ConfigError: Says what to do.
    """
    if _setting(context, "num_workers") is None:
        raise ConfigError(
            "workers: the datamodule has no num_workers; give it one that its DataLoader reads, or leave the step out"
        )
    if context.trainer.world_size > 1:
        raise ConfigError("workers: measures on one device; tune with Trainer(devices=1), or leave the step out")


def run(context: "TuningContext", plan: Any) -> dict[str, Any]:
    """Try numbers of workers, cheapest first; apply the first that hides the loading.

    Raises:
        ConfigError: If the loaders do not read the setting.
    """
    options = context.options
    assert isinstance(options, Options)
    settings = {name: found for name in NAMES if (found := _setting(context, name)) is not None}
    _prove(context, settings)
    present = _try(context, settings, int(settings["num_workers"].value or 0), _prefetch_now(settings))
    tried = [present]
    most = options.most_workers or _cores()
    chosen = None
    for workers, prefetch in candidates(most, "prefetch_factor" in settings):
        if hides(present, present, options.most_waiting) and workers >= present.workers:
            chosen = present
            break
        if (workers, prefetch) == (present.workers, present.prefetch):
            continue
        one = _try(context, settings, workers, prefetch)
        tried.append(one)
        if hides(one, present, options.most_waiting):
            chosen = one
            break
    verdict = _verdict(present, chosen, tried)
    context.console.line(f"Workers: {verdict}")
    rows = [
        [f"{one.workers}{', present' if one is present else ''}", one.prefetch, f"{one.waiting:.0%}", _ms(one)]
        for one in tried
    ]
    context.table("What waits for data", ["num_workers", "prefetch_factor", "waiting", "ms/batch"], rows)
    if chosen is not None and chosen is not present:
        for setting, value in _values(settings, chosen.workers, chosen.prefetch).items():
            context.apply(setting, value)
    return {
        "verdict": verdict,
        "waiting": present.waiting,
        "chosen": chosen and chosen.workers,
        "tried": [one._asdict() for one in tried],
    }


def _verdict(present: Tried, chosen: Tried | None, tried: list[Tried]) -> str:
    said = f"{present.waiting:.0%} of a step waits for data with {present.workers}"
    if chosen is present:
        return f"{said}, the least that hides the loading"
    if chosen is None:
        quickest = min(tried, key=lambda one: one.seconds)
        return (
            f"{said}; no number that was tried hides the loading, so it stays. The quickest was {quickest.workers}, "
            f"{_ms(quickest)} ms per batch against {_ms(present)}; have the data set do less for a sample"
        )
    return f"{said}, {chosen.waiting:.0%} with {chosen.workers}: the least that hides the loading"


def _setting(context: "TuningContext", name: str) -> Any:
    """A setting of the datamodule, wherever that keeps it; ``None`` if it has none."""
    for place in (f"datamodule.{name}", f"datamodule.hparams.{name}"):
        try:
            return context.setting(place)
        except ConfigError:
            continue
    return None


def _values(settings: dict[str, Any], workers: int, prefetch: int | None) -> dict[Any, Any]:
    """What to write: PyTorch refuses the other two without workers."""
    wanted = {"num_workers": workers, "persistent_workers": workers > 0, "prefetch_factor": prefetch}
    return {setting: wanted[name] for name, setting in settings.items()}


def _prefetch_now(settings: dict[str, Any]) -> int | None:
    return settings["prefetch_factor"].value if "prefetch_factor" in settings else None


def _prove(context: "TuningContext", settings: dict[str, Any]) -> None:
    """See that the loaders read the setting.

    Raises:
        ConfigError: If they do not.
    """
    seen = context.look(_values(settings, 1, 2 if "prefetch_factor" in settings else None))
    if not any(supply.workers == 1 for supply in seen.supplies):
        raise ConfigError(f"workers: no loader reads {settings['num_workers']}; pass it to DataLoader(num_workers=...)")


def _try(context: "TuningContext", settings: dict[str, Any], workers: int, prefetch: int | None) -> Tried:
    assert isinstance(context.options, Options)
    is_present = workers == settings["num_workers"].value and prefetch == _prefetch_now(settings)
    trained = context.train(context.options.steps, {} if is_present else _values(settings, workers, prefetch))
    return Tried(workers, prefetch, *measured(trained.waited, trained.seconds))


def _cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ms(tried: Tried) -> str:
    return f"{1000 * tried.seconds:.3g}"


@hookimpl
def lit_autotune_steps() -> list[TuningStep]:
    """Offer the step; after the batch size and its companions, on which the time of a batch depends."""
    summary = "measure how much of a step waits for data, and set the fewest workers that hide it"
    return [TuningStep("workers", run, summary, order=170, check=check, options=Options)]
