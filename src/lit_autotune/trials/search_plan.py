"""What is known before a search for a batch size."""

from dataclasses import dataclass

from lit_autotune.config import Method, TunerConfig
from lit_autotune.copies.attributes import Setting
from lit_autotune.copies.dry_run import DryRun, check_batches, dry_run, training_plan
from lit_autotune.copies.effect import prove_effect
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.planning.plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What is known before a search.

    Attributes:
        setting: Where the batch size is kept.
        init_val: Size of the first trial.
        max_val: Largest size to try, if there is one.
        data_hold: Largest size the data can fill, if they know it.
        samples_per_unit: Samples that must arrive per unit of batch size, where that has to be checked.
        training: The training to come, with the present batch size if there is one; ``None`` for evaluations.
    """

    setting: Setting
    init_val: int
    max_val: int | None
    data_hold: int | None
    samples_per_unit: int | None
    training: TrainingPlan | None = None


def plan_search(sandbox: Sandbox, setting: Setting, config: TunerConfig) -> SearchPlan:
    """Find out what the data hold, and prove that the setting changes the batches that arrive.

    Raises:
        ConfigError: If it does not.
    """
    method = config.batch_size_method
    init_val = min(config.batch_size_init_val, config.batch_size_max or config.batch_size_init_val)
    first = dry_run(sandbox, {setting: init_val}, method)
    bounds = [bound for bound in (first.most, config.batch_size_max) if bound is not None]
    max_val = min(bounds, default=None)
    if max_val is not None and init_val > max_val:
        init_val = max_val
        first = dry_run(sandbox, {setting: init_val}, method)
    check_batches(first)
    other = 2 * init_val if max_val is None or 2 * init_val <= max_val else init_val // 2
    if other:
        first = _proven(sandbox, setting, method, (init_val, other), first)
    seen = first.batch_size
    # Only where the data do not know their length can a batch turn out smaller than asked for.
    per_unit = seen // init_val if first.most is None and seen and seen % init_val == 0 else None
    training = _training(sandbox, setting, (init_val, first)) if method == "fit" else None
    return SearchPlan(setting, init_val, max_val, first.most, per_unit, training)


def _proven(sandbox: Sandbox, setting: Setting, method: Method, sizes: tuple[int, int], first: DryRun) -> DryRun:
    batches, reader = ("training", "train_dataloader") if method == "fit" else (method, "the loader")
    first, _ = prove_effect(
        sandbox,
        setting,
        lambda size: dry_run(sandbox, {setting: size}, method),
        sizes,
        lambda one, other: one.batch_size != other.batch_size or one.batches != other.batches,
        lambda run: f"the {batches} batches (batch size stays {run.batch_size})",
        reader,
        known=first,
    )
    return first


def _training(sandbox: Sandbox, setting: Setting, known: tuple[int, DryRun]) -> TrainingPlan:
    """The training with the present batch size, or a known one. Not run at the present one: it may be too large."""
    size, seen = known
    training = training_plan(sandbox.trainer, seen, size)
    old = setting.value
    return training.resized(int(old)) if old is not None and old >= 1 else training
