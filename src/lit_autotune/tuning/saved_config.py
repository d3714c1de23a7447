"""The ``config.yaml`` that a LightningCLI saves beside a run: it gets the values that the run is made with."""

from collections.abc import Iterator
from typing import Any

from lit_autotune.internals.packages import lightning_package
from lit_autotune.report.results import BatchSizeResult, LearningRateResult, TuningReport
from lit_autotune.tuning.config_keys import Keys, find_keys, put

Result = BatchSizeResult | LearningRateResult


def results(report: TuningReport) -> list[Result]:
    """What was tuned."""
    return [result for result in (report.batch_size, report.learning_rate) if result is not None]


def keep_in_saved_config(trainer: Any, report: TuningReport) -> list[str]:
    """Put what was applied into the configuration that is going to be saved, if there is one.

    Returns:
        What could not be put there, in words.
    """
    savers = [callback for callback in trainer.callbacks if lightning_package(callback, "SaveConfigCallback")]
    return [doubt for saver in savers for doubt in _keep(saver, report)]


def _keep(saver: Any, report: TuningReport) -> Iterator[str]:
    # keys are found while the configuration still is what the objects were made of
    found = [(result, _keys(saver, result)) for result in results(report) if _is_new(result)]
    for result, keys in found:
        for key, share in keys.given.items():
            put(saver.config, key, result.chosen if share == 1 else result.chosen * share)
        for key in keys.linked:
            put(saver.config, key, result.chosen)
        if not keys.given:
            where = ", ".join(result.places)
            yield f"the {saver.config_filename} beside the run keeps the old value of {where}, no key is known for it"


def _keys(saver: Any, result: Result) -> Keys:
    if saver.already_saved:
        return Keys({})
    try:
        return find_keys(saver.parser, saver.config, result.places, result.old)
    except Exception:  # a configuration that cannot be written cannot be saved, either
        return Keys({})


def _is_new(result: Result) -> bool:
    return getattr(result, "applied", True) and result.chosen != result.old
