"""Reusing the result of an earlier tuning of the very same thing, where the user wants that."""

from pathlib import Path

from lit_autotune._shared.sizes import format_size
from lit_autotune._shared.text import first_line
from lit_autotune.cache.fingerprint import fingerprint
from lit_autotune.cache.store import CachedResult, Fingerprint, ResultStore, WrittenValue, differences
from lit_autotune.copies.attributes import Place, Setting, find_batch_size, read
from lit_autotune.copies.ranks import on_all_ranks
from lit_autotune.errors import is_users_own
from lit_autotune.report.results import TuningReport
from lit_autotune.tuning.context import TuningContext

MORE = 1.25
"""So many times the memory of then is a reason to search again where memory was what ended the search."""

NAMED = 3
"""So many differences are named."""


def earlier_results(context: TuningContext) -> "EarlierResults | None":
    """The cache, if the user wants it and it can be told what a result would depend on."""
    cache = context.config.cache
    if cache is False:
        return None
    plugins = {plugin.distribution: plugin.version for plugin in context.registry.plugins}
    try:
        found = fingerprint(context.sandbox, context.config, _small_batch(context), plugins)
    except Exception as error:
        if not is_users_own(error):
            raise
        context.console.warn(f"no earlier result can be looked up, the first batch fails: {first_line(error)}")
        return None
    return EarlierResults(context, ResultStore(cache if isinstance(cache, Path) else None), found)


class EarlierResults:
    """The cache as one tuning uses it.

    Args:
        context: Of the tuning.
        store: The cache.
        fingerprint: What this tuning's result depends on.
    """

    def __init__(self, context: TuningContext, store: ResultStore, fingerprint: Fingerprint):
        self._context, self._store, self._fingerprint = context, store, fingerprint

    def find(self) -> CachedResult | None:
        """The result of an earlier tuning of the same thing, on all ranks that of the first; says why there is none."""
        trainer = self._context.sandbox.trainer
        found = on_all_ranks(trainer, lambda: self._store.get(self._fingerprint) if trainer.is_global_zero else None)
        result = found[0]
        reason = self._why_not(result) if result else self._nearest() if trainer.is_global_zero else ""
        if result and not reason:
            when = result.made.astimezone().strftime("%Y-%m-%d %H:%M")
            self._context.console.line(
                f"Reused: found on {when} with the same code, arguments, data, Trainer, device, settings and versions; "
                f"'autotune cache clear {result.key}' forgets it"
            )
            self._context.changes.update(_changes(result))
            return result
        if reason:
            self._context.console.line(f"No earlier result is reused: {reason}")
        return None

    def keep(self, report: TuningReport) -> None:
        """Keep what was found, for the next time; that this cannot be done is no more than a warning."""
        values = [
            WrittenValue(places=tuple((place.owner, *place.path) for place in setting.places), value=value)
            for setting, value in self._context.changes.items()
        ]
        try:
            self._store.put(CachedResult(fingerprint=self._fingerprint, values=tuple(values), report=report))
        except (OSError, ValueError) as error:  # not writable, or a plugin's result that JSON cannot hold
            self._context.console.warn(f"the result could not be kept in {self._store.folder}: {error}")

    def _why_not(self, result: CachedResult) -> str:
        """Why a result does not hold here in spite of all that is equal; empty if it does."""
        budget = self._context.memory_budget()
        size = result.report.batch_size
        if size and budget:
            peak = max((trial.peak_bytes or 0 for trial in size.trials if trial.batch_size == size.chosen), default=0)
            now = format_size(budget.usable)
            if peak > budget.usable:
                return f"batch size {size.chosen} took {format_size(peak)}, and now {now} may be taken"
            if size.limit == "memory" and size.budget_bytes and budget.usable > MORE * size.budget_bytes:
                return f"then {format_size(size.budget_bytes)} might be taken, and now {now}"
        try:
            for setting in _changes(result):
                for place in setting.places:
                    read(self._context.places, place)
        except (LookupError, AttributeError):
            return "a place that was written then is not there"
        return ""

    def _nearest(self) -> str:
        """What differs from the most similar of the results for the same classes; empty if there is none."""
        found = [
            result for result in self._store.results() if _classes(result.fingerprint) == _classes(self._fingerprint)
        ]
        if not found:
            return ""
        changed = min((differences(result.fingerprint, self._fingerprint) for result in found), key=len)
        more = f", and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        return "; ".join(changed[:NAMED]) + more


def _small_batch(context: TuningContext) -> dict[Setting, int]:
    """A batch size that is sure to fit, if it is one of the values to be found."""
    config = context.config
    if not config.use_batch_size_tuning:
        return {}
    return {find_batch_size(context.owners, config.batch_size_attribute): config.batch_size_init_val}


def _changes(result: CachedResult) -> dict[Setting, object]:
    return {
        Setting(tuple(Place(owner, tuple(path)) for owner, *path in value.places), None): value.value
        for value in result.values
    }


def _classes(one: Fingerprint) -> list[object]:
    return [one.get(role, {}).get("class") for role in ("module", "datamodule")]
