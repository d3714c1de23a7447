"""The ``config.yaml`` that a LightningCLI saves beside a run: it gets the values that the run is made with."""

from collections.abc import Iterator
from typing import Any

from lit_autotune.internals.packages import lightning_package
from lit_autotune.report.results import AppliedValue, BatchSizeResult, LearningRateResult, TuningReport
from lit_autotune.tuning.config_keys import Keys, find_keys, put

Result = BatchSizeResult | LearningRateResult | AppliedValue


def results(report: TuningReport) -> list[Result]:
    """What was tuned."""
    return [result for result in (report.batch_size, report.learning_rate, *report.applied) if result is not None]


def keys_of(parser: Any, config: Any, result: Result) -> Keys:
    """The keys that what was tuned comes from; none if the configuration cannot be read for them."""
    try:
        return find_keys(parser, config, result.places, result.old)
    except Exception:  # of the user's types; what was found must not be lost for it
        return Keys({})


def keep_in_saved_config(trainer: Any, report: TuningReport) -> list[str]:
    """Put what was applied into the configuration that is going to be saved, if there is one.

    Returns:
        What could not be put there, in words.
    """
    savers = [callback for callback in trainer.callbacks if lightning_package(callback, "SaveConfigCallback")]
    return [doubt for saver in savers for doubt in _keep(saver, report)]


def _keep(saver: Any, report: TuningReport) -> Iterator[str]:
    # keys are found while the configuration still is what the objects were made of
    changed = [result for result in results(report) if getattr(result, "applied", True) and result.chosen != result.old]
    if saver.already_saved:
        found = [(result, Keys({})) for result in changed]
    else:
        found = [(result, keys_of(saver.parser, saver.config, result)) for result in changed]
    for result, keys in found:
        for key, share in keys.given.items():
            put(saver.config, key, result.chosen if share == 1 else result.chosen * share)
        for key in keys.linked:
            put(saver.config, key, result.chosen)
        if not keys.given:
            where = ", ".join(result.places)
            yield f"the {saver.config_filename} beside the run keeps the old value of {where}, no key is known for it"
