"""Finding, checking and holding plugins.

Each entry point of group ``lit_autotune`` is loaded on its own, so that a broken plugin is a line in a list and never
the end of a run. What it registers is checked before it is accepted.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import pluggy

from lit_autotune import hookspecs
from lit_autotune._shared.foreign import call_foreign, fault_of, named_when_slow
from lit_autotune._shared.text import did_you_mean
from lit_autotune.errors import BlamedError, ConfigError, PluginError, UnknownNameError
from lit_autotune.hookspecs import REGISTRATION_HOOKS
from lit_autotune.registry.checks import check_notifications, check_plugin, check_record, describe, validation_text
from lit_autotune.registry.loading import failed, guarded, load
from lit_autotune.registry.options import Named, bind_options, spellings
from lit_autotune.registry.sending import loaded_again, sendable
from lit_autotune.registry.status import OWN_DISTRIBUTION, PluginStatus, find_entry_points
from lit_autotune.types import BatchSizeStrategy, LRSuggester, TuningStep

CALLED = ("search", "suggest", "run")
"""Attributes of records with what is called."""

KINDS = {BatchSizeStrategy: "batch-size strategy", LRSuggester: "suggester", TuningStep: "step"}

R = TypeVar("R", bound=Named)


class Registry:
    """The plugins in use. An object, not a global: make one with :meth:`load`."""

    def __init__(self) -> None:
        self.plugins: list[PluginStatus] = []
        self._blocked: frozenset[str] = frozenset()
        self._registered: list[tuple[object, str]] = []
        self._records: dict[type, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._owners: dict[tuple[type, str], PluginStatus] = {}
        self._contested: dict[tuple[type, str], list[PluginStatus]] = {}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    @classmethod
    def load(cls, blocked: Iterable[str] = ()) -> "Registry":
        """Load every installed plugin but the blocked ones.

        Args:
            blocked: Names of entry points that must not even be imported, or ``DISTRIBUTION:NAME`` where two
                distributions have one of the same name.

        Raises:
            ConfigError: If a blocked name is no installed plugin; before any is imported.
        """
        registry = cls()
        found = find_entry_points()
        registry._blocked = blocked = frozenset(blocked)
        names = [name for _, _, status in found for name in status.names]
        if unknown := blocked - set(names):
            name = min(unknown)
            raise ConfigError(f"cannot block {name!r}: no such plugin is installed{did_you_mean(name, names)}")
        for entry_point, requirements, status in found:
            registry.plugins.append(status)
            if blocked.intersection(status.names):
                status.status = "blocked"
                continue
            # A plugin's import is foreign code: anything but Ctrl-C is its failure, SystemExit included.
            try:
                with guarded(status):
                    registry._accept(load(entry_point, requirements, status), status)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                failed(status, error)
        return registry

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin that is no installed distribution: a module or object with hooks.

        Raises:
            PluginError: If it is not in order.
        """
        status = PluginStatus(name, "this process", "")
        try:
            self._accept(plugin, status)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(f"{status}: {describe(error)}") from error
        self.plugins.append(status)
        self._registered.append((plugin, name))

    def __reduce__(self) -> tuple[Any, ...]:
        return loaded_again, (Registry, self._blocked, [(sendable(plugin), name) for plugin, name in self._registered])

    def _accept(self, plugin: object, status: PluginStatus) -> None:
        """Register a plugin if all it gives is in order, else leave no trace of it."""
        check_plugin(plugin)
        if self._manager.is_registered(plugin):
            raise PluginError("the same object is registered already")
        try:
            self._manager.register(plugin, name=f"{status.distribution}:{status.name}")
            callers = self._manager.get_hookcallers(plugin)
            if not callers:
                raise PluginError("it implements no hook; mark functions with lit_autotune.hookimpl")
            self._manager.check_pending()
            check_notifications(plugin, callers)
            records = self._collect(plugin)
            self._check_collisions(records, status)
        except BaseException as error:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            if isinstance(error, pluggy.PluginValidationError):
                raise PluginError(validation_text(error)) from error
            raise
        for record in records:
            self._records[type(record)][record.name] = record
            self._owners[type(record), record.name] = status
            status.provides.append(f"{KINDS[type(record)]} {record.name}")
        if not records and {caller.name for caller in callers} <= REGISTRATION_HOOKS.keys():
            status.notes.append("it provides nothing: its hooks return no record")

    def _collect(self, plugin: object) -> list[Any]:
        """What the plugin's own registration hooks return, checked."""
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        records: list[Any] = []
        for hook, kind in REGISTRATION_HOOKS.items():
            for result in call_foreign(self._manager.subset_hook_caller(hook, others)):
                if not isinstance(result, list | tuple):
                    raise PluginError(f"{hook} must return a list of {kind.__name__}, not {type(result).__name__}")
                for record in result:
                    check_record(record, kind, hook)
                records.extend(result)
        return records

    def _check_collisions(self, records: Sequence[Any], status: PluginStatus) -> None:
        """Refuse a name that is taken: otherwise installing a package could change somebody's result."""
        keys = [(type(record), record.name) for record in records]
        for kind, name in keys:
            if keys.count((kind, name)) > 1:
                raise PluginError(f"it provides {KINDS[kind]} {name!r} twice")
        for record in records:
            owner = self._owners.get((type(record), record.name))
            if owner is None:
                continue
            if owner.distribution != OWN_DISTRIBUTION:
                self._contested.setdefault((type(record), record.name), [owner]).append(status)
            raise PluginError(
                f"{KINDS[type(record)]} {record.name!r} is already provided by {owner}; "
                f"rename it, or block one of them with -p no:NAME or -p no:DISTRIBUTION:NAME"
            )

    @property
    def steps(self) -> list[TuningStep]:
        """All tuning steps, in the order they run."""
        return sorted(self._records[TuningStep].values(), key=lambda step: (step.order, step.name))

    @property
    def suggesters(self) -> list[LRSuggester]:
        """All learning-rate rules, by name."""
        return sorted(self._records[LRSuggester].values(), key=lambda suggester: suggester.name)

    def strategy(self, name: str) -> BatchSizeStrategy:
        """The batch-size strategy of that name; raises :class:`UnknownNameError` if there is none."""
        return self._named(BatchSizeStrategy, name, "batch_size_mode")

    def suggester(self, name: str) -> LRSuggester:
        """The learning-rate rule of that name; raises :class:`UnknownNameError` if there is none."""
        return self._named(LRSuggester, name, "lr_suggester")

    def step(self, name: str) -> TuningStep:
        """The step of that name; raises :class:`UnknownNameError` if there is none."""
        return self._named(TuningStep, name, "steps")

    def is_ours(self, record: Named) -> bool:
        """Whether a record is of this package itself."""
        return self.owner_of(record).distribution == OWN_DISTRIBUTION

    def _named(self, kind: type[R], name: str, setting: str) -> R:
        if rivals := self._contested.get((kind, name)):
            names = " and ".join(str(rival) for rival in rivals)
            raise PluginError(f"{setting} = {name!r} is ambiguous, provided by {names}; block all but one of them")
        records: dict[str, R] = self._records[kind]
        if name in records:
            return records[name]
        known = ", ".join(sorted(records)) or "none"
        raise UnknownNameError(
            f"{setting} = {name!r} is unknown; known are {known}{did_you_mean(name, records)}{self._missing()}"
        )

    def _missing(self) -> str:
        """Which plugins are installed and not in use, and why."""
        off = [plugin for plugin in self.plugins if plugin.status != "loaded"]
        return "".join(f"; {one} {f'failed: {one.error}' if one.error else 'is blocked'}" for one in off)

    def owner_of(self, record: Named) -> PluginStatus:
        """The plugin that brought a record."""
        return self._owners.get((type(record), record.name)) or PluginStatus(record.name, "this process", "")

    def records_of(self, plugin: PluginStatus) -> list[Any]:
        """What a plugin has registered."""
        every = [record for records in self._records.values() for record in records.values()]
        return [record for record in every if self.owner_of(record) is plugin]

    def title(self, record: Named) -> str:
        """A record with its plugin, for messages."""
        return f"{KINDS[type(record)]} {record.name!r} ({self.owner_of(record)})"

    def blame(self, record: Named, what: str, error: BaseException) -> PluginError:
        """The error for code of a plugin that failed: names the record, its plugin, and where that was.

        Args:
            record: What the plugin has registered.
            what: What it did, such as "failed".
            error: Why. One that names a plugin already is returned as it is.
        """
        if isinstance(error, BlamedError):
            return error
        # The registered one: a search, for one, is wrapped in others of ours.
        registered = self._records[type(record)].get(record.name, record)
        called = next(getattr(registered, name) for name in CALLED if hasattr(registered, name))
        return BlamedError(f"{self.title(record)} {what}: {fault_of(error, called)}")

    def check_options(self, options: dict[str, dict[str, Any]]) -> None:
        """Raise :class:`ConfigError` for a table ``[tuner_config.options.NAME]`` that no loaded plugin takes."""
        takers = [record for records in self._records.values() for record in records.values()]
        for name in options:
            named = [record for record in takers if name in spellings(record)]
            if not named:
                known = [record.name for record in takers]
                hints = did_you_mean(name, known) + self._missing()
                raise ConfigError(f"options.{name}: no plugin of that name is loaded{hints}")
            for record in [record for record in named if record.options] or named:
                bind_options(record, options)

    def notify(self, hook: str, warn: Callable[[str], None], **arguments: Any) -> None:
        """Call a notification hook of every plugin; a failure is only warned about."""
        # pluggy keeps implementations in reverse of the order it calls them in
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            plugin, function = implementation.plugin_name, implementation.function
            try:
                with named_when_slow(f"still waiting for {hook} of plugin {plugin!r}"):
                    call_foreign(function, *(arguments[name] for name in implementation.argnames))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                warn(f"plugin {plugin!r} failed in {hook}: {fault_of(error, function)}")
