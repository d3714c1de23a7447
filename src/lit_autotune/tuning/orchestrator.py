"""Runs the tuning steps in their order on copies, then writes what they found to the user's objects."""

import contextlib
import functools
import time
from collections.abc import Mapping
from typing import Any

from lit_autotune._shared.text import Wording
from lit_autotune._version import __version__
from lit_autotune.config import TunerConfig
from lit_autotune.copies.attributes import Setting, read, write
from lit_autotune.copies.owners import owners
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import AutotuneError, is_users_own
from lit_autotune.internals.objects import check_objects, uncompiled
from lit_autotune.internals.strategies import runs_elsewhere
from lit_autotune.internals.trainers import facts
from lit_autotune.planning.plan import TrainingPlan
from lit_autotune.registry.registry import Registry
from lit_autotune.report.console import Console
from lit_autotune.report.results import BatchSizeResult, Comparison, LearningRateResult, TuningReport
from lit_autotune.report.tables import show_report
from lit_autotune.trials.group import group_for
from lit_autotune.tuning.applied import follow_applied
from lit_autotune.tuning.context import TuningContext
from lit_autotune.tuning.keep import python_lines
from lit_autotune.tuning.launch import launch
from lit_autotune.tuning.reuse import earlier_results
from lit_autotune.tuning.saved_config import keep_in_saved_config
from lit_autotune.tuning.steps import call, check_result, steps_to_run
from lit_autotune.tuning.tracebacks import fold
from lit_autotune.types import TuningStep


def tune(
    trainer: Any,
    module: Any,
    datamodule: Any = None,
    config: TunerConfig | None = None,
    *,
    registry: Registry | None = None,
    save_plot: bool = True,
) -> TuningReport:
    """Tune batch size, then learning rate, and write both to ``module`` and ``datamodule``.

    Everything is tried on copies. If anything goes wrong, Ctrl-C included, the objects are as before the call.

    Args:
        trainer: The Lightning Trainer that will fit later.
        module: The LightningModule.
        datamodule: The LightningDataModule, or ``None`` if the module brings its own loaders.
        config: What to tune and how; by default both, with all other fields at their defaults.
        registry: The plugins to use; by default all that are installed.
        save_plot: Whether to save the plots of batch-size trials and of the range test.

    Returns:
        The report.

    Raises:
        ConfigError: If a setting is wrong, or the objects cannot be tuned; before anything expensive runs.
        UnknownNameError: If the config names a strategy or suggester that no plugin provides.
        PluginError: If a plugin that was needed failed.
        BatchSizeError: If no batch size fits.
        LRSuggestionError: If no learning rate can be suggested; carries the curve.

    Errors of the user's own code come out as they are, with a short traceback unless ``is_debug`` is on. Any exception
    has the report of what was found before it as ``report``, if something was.
    """
    __tracebackhide__ = True
    config = config or TunerConfig(use_batch_size_tuning=True, use_learning_rate_tuning=True)
    return tune_in_words(Wording(), trainer, module, datamodule, config, registry, save_plot)


def tune_in_words(
    wording: Wording,
    trainer: Any,
    module: Any,
    datamodule: Any,
    config: TunerConfig,
    registry: Registry | None = None,
    save_plot: bool = True,
) -> TuningReport:
    """What :func:`tune` does, for a caller who speaks to the user in other words."""
    __tracebackhide__ = True  # from IPython's tracebacks
    module = uncompiled(module)
    check_objects(trainer, module, datamodule)
    try:
        # Not among the arguments: Lightning looks into those for tensors to move, and cannot with a frozen record.
        work = functools.partial(_tune, wording=wording)
        report, changes = launch(trainer, work, module, datamodule, config, registry, save_plot)
    except Exception as error:
        if (is_users_own(error) or isinstance(error, AutotuneError)) and not config.is_debug:
            fold(error)
        raise
    if runs_elsewhere(trainer):
        _write_all({**owners(module, datamodule), "trainer": trainer}, changes)
    if doubts := keep_in_saved_config(trainer, report):
        with Console(config.verbose and trainer.is_global_zero, wording=wording) as console:
            for doubt in doubts:
                console.warn(doubt)
        report = report.model_copy(update={"warnings": (*report.warnings, *console.warnings)})
    return report


def _tune(
    trainer: Any,
    module: Any,
    datamodule: Any,
    config: TunerConfig,
    registry: Registry | None,
    save_plot: bool,
    wording: Wording,
) -> tuple[TuningReport, dict[Setting, Any]]:
    """Tune in one of the Trainer's processes; returns the report and what was written to the objects there."""
    with Console(config.verbose and trainer.is_global_zero, config.is_debug, wording) as console:
        start = time.perf_counter()
        registry = registry or Registry.load()
        _check_names(config, registry, console)
        steps = steps_to_run(config, registry, console.warn)
        if trainer.fast_dev_run and steps:
            console.warn("nothing tuned: the Trainer has fast_dev_run on")
            steps = []
        if trainer.state.status == "running" and steps:
            console.warn("the Trainer is running: optimizers and loaders that exist already keep their values")
        if steps:
            console.line(f"Trainer: {', '.join(f'{name} {value}' for name, value in facts(trainer).items())}")
        sandbox = Sandbox(trainer, module, datamodule, quiet=not config.is_debug)
        sandbox.processes = group_for(sandbox, config)
        save_plot = save_plot and trainer.is_global_zero
        context = TuningContext(config, registry, sandbox, dict(sandbox.originals), console, save_plot=save_plot)
        try:
            report = _run_steps(steps, context, start)
        except BaseException as error:
            if context.results:
                _attach(error, _report(context, start))
            raise
        keep = wording.keep(report) if wording.keep else python_lines(context.places, report)
        report = report.model_copy(update={"keep": tuple(keep)})
        if steps:
            show_report(console, report)
        registry.notify("lit_autotune_finished", console.warn, report=report, trainer=trainer)
        return report, context.changes


def _report(context: TuningContext, start: float) -> TuningReport:
    """The report of the steps that have run."""
    results = dict(context.results)
    batch_size, learning_rate = results.pop("batch_size", None), results.pop("learning_rate", None)
    comparison = results.pop("comparison", None)
    return TuningReport(
        version=__version__,
        config=context.config.model_copy(deep=True),
        batch_size=batch_size if isinstance(batch_size, BatchSizeResult) else None,
        learning_rate=learning_rate if isinstance(learning_rate, LearningRateResult) else None,
        comparison=comparison if isinstance(comparison, Comparison) else None,
        trainer=facts(context.sandbox.trainer),
        plan=_plan(context),
        steps=results,
        applied=tuple(one for one in context.applied.values() if one.step in results),
        tables=tuple(context.tables),
        figures=tuple(context.figures),
        warnings=tuple(context.console.warnings),
        seconds=time.perf_counter() - start,
    )


def _attach(error: BaseException, report: TuningReport) -> None:
    """Have an exception carry what was found before it; nothing of that is written to the user's objects."""
    with contextlib.suppress(AttributeError, TypeError):  # some exceptions have no room for it
        error.report = report  # type: ignore[attr-defined]
    found = [*report.steps]
    if report.learning_rate:
        found.insert(0, f"learning rate {report.learning_rate.chosen:.2e}")
    if report.batch_size:
        found.insert(0, f"batch size {report.batch_size.chosen}")
    error.add_note(f"lit-autotune: found before that, and not written to your objects: {', '.join(found)}")


def _run_steps(steps: list[TuningStep], context: TuningContext, start: float) -> TuningReport:
    """Check all steps, prepare all, run all unless that was done before, then write what they found."""
    try:
        for step in steps:
            call(context, step, "check")
        earlier = earlier_results(context) if steps else None
        known = earlier and earlier.find()
        for step in steps if not known else ():
            context.plans[step.name] = call(context, step, "prepare")
        if plan := _plan(context):
            context.console.line(f"Training to come: {plan}")
        context.console.tell()  # what can be mended before anything expensive runs
        for step in steps if not known else ():
            result = call(context, step, "run", context.plans[step.name])
            context.results[step.name] = check_result(context, step, result)
            follow_applied(context)
    finally:
        context.sandbox.close()
    _write_all(context.places, context.changes)
    if known:
        return known.report.model_copy(update={"reused": known.made, "seconds": time.perf_counter() - start})
    report = _report(context, start)
    if earlier and context.sandbox.trainer.is_global_zero:
        earlier.keep(report)
    return report


def _plan(context: TuningContext) -> TrainingPlan | None:
    """The training to come, with what steps have found so far."""
    for name in ("batch_size", "learning_rate"):
        plan = getattr(context.plans.get(name), "training", None)
        if isinstance(plan, TrainingPlan):
            return context.as_applied(plan)
    return None


def _write_all(objects: Mapping[str, Any], changes: Mapping[Setting, Any]) -> None:
    """Write all values or, if one cannot be written, none."""
    undo = [(place, read(objects, place)) for setting in changes for place in setting.places]
    try:
        for setting, value in changes.items():
            for place in setting.places:
                write(objects, place, value)
    except BaseException:
        for place, old in undo:
            write(objects, place, old)
        raise


def _check_names(config: TunerConfig, registry: Registry, console: Console) -> None:
    """Refuse unknown names before anything runs; warn of plugins that failed."""
    for plugin in registry.plugins:
        if plugin.status == "failed":
            console.warn(f"{plugin} failed and is not used: {plugin.error}")
    if config.use_batch_size_tuning:
        registry.strategy(config.batch_size_mode)
    if config.use_learning_rate_tuning:
        registry.suggester(config.lr_suggester)
    registry.check_options(config.options)
