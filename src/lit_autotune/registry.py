"""Finding, checking and holding plugins.

Each entry point of group ``lit_autotune`` is loaded on its own, so that a broken plugin is a line in a list and never
the end of a run. What it registers is checked before it is accepted.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from importlib import metadata
from typing import Any, Literal, Protocol, TypeVar

import pluggy
from pydantic import BaseModel

from lit_autotune import hookspecs
from lit_autotune._text import did_you_mean, first_line
from lit_autotune.errors import ConfigError, PluginError, UnknownNameError
from lit_autotune.types import BatchSizeStrategy, LRSuggester, TuningStep

OWN_DISTRIBUTION = "lit-autotune"
KINDS = {BatchSizeStrategy: "batch-size strategy", LRSuggester: "suggester", TuningStep: "step"}


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def options(self) -> type[BaseModel] | None: ...


R = TypeVar("R", bound=_Named)


@dataclass(slots=True)
class PluginStatus:
    """One entry point and what became of it.

    Attributes:
        name: Name of the entry point.
        distribution: Name of the installed distribution that declares it.
        version: Version of that distribution.
        status: Whether it is in use.
        error: Why it is not, in one line.
        provides: What it registered, e.g. ``"suggester steepest"``.
    """

    name: str
    distribution: str
    version: str
    status: Literal["loaded", "blocked", "failed"] = "loaded"
    error: str = ""
    provides: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.distribution} {self.version}".rstrip()


class Registry:
    """The plugins in use. An object, not a global: make one with :meth:`load`."""

    def __init__(self) -> None:
        self.plugins: list[PluginStatus] = []
        self._records: dict[type, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._owners: dict[tuple[type, str], PluginStatus] = {}
        self._contested: dict[tuple[type, str], list[PluginStatus]] = {}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    @classmethod
    def load(cls, blocked: Iterable[str] = ()) -> "Registry":
        """Load every installed plugin but the blocked ones.

        Args:
            blocked: Names of entry points that must not even be imported.

        Raises:
            ConfigError: If a blocked name is no installed plugin.
        """
        registry = cls()
        blocked = set(blocked)
        for entry_point, status in _entry_points():
            registry.plugins.append(status)
            if status.name in blocked:
                status.status = "blocked"
                continue
            # A plugin's import is foreign code: anything but Ctrl-C is its failure, SystemExit included.
            try:
                registry._accept(entry_point.load(), status)
            except (Exception, SystemExit) as error:
                status.status, status.error = "failed", _describe(error)
        if unknown := blocked - {plugin.name for plugin in registry.plugins}:
            name = min(unknown)
            known = [plugin.name for plugin in registry.plugins]
            raise ConfigError(f"cannot block {name!r}: no such plugin is installed{did_you_mean(name, known)}")
        return registry

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin that is no installed distribution: a module or object with hooks.

        Raises:
            PluginError: If it is not in order.
        """
        status = PluginStatus(name, "this process", "")
        try:
            self._accept(plugin, status)
        except (Exception, SystemExit) as error:
            raise PluginError(f"{status}: {_describe(error)}") from error
        self.plugins.append(status)

    def _accept(self, plugin: object, status: PluginStatus) -> None:
        """Register a plugin if all it gives is in order, else leave no trace of it."""
        if plugin is None or self._manager.is_registered(plugin):
            raise PluginError("it is None" if plugin is None else "the same object is registered already")
        try:
            self._manager.register(plugin, name=f"{status.distribution}:{status.name}")
            if not self._manager.get_hookcallers(plugin):
                raise PluginError("it implements no hook; mark functions with lit_autotune.hookimpl")
            self._manager.check_pending()
            records = self._collect(plugin)
            self._check_collisions(records, status)
        except pluggy.PluginValidationError as error:
            self._forget(plugin)
            raise PluginError(_validation_text(error)) from error
        except BaseException:
            self._forget(plugin)
            raise
        for record in records:
            self._records[type(record)][record.name] = record
            self._owners[type(record), record.name] = status
            status.provides.append(f"{KINDS[type(record)]} {record.name}")

    def _forget(self, plugin: object) -> None:
        if self._manager.is_registered(plugin):
            self._manager.unregister(plugin)

    def _collect(self, plugin: object) -> list[Any]:
        """What the plugin's own registration hooks return, checked."""
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        records: list[Any] = []
        for hook, kind in hookspecs.REGISTRATION_HOOKS.items():
            for result in self._manager.subset_hook_caller(hook, others)():
                if not isinstance(result, list | tuple):
                    raise PluginError(f"{hook} must return a list of {kind.__name__}, not {type(result).__name__}")
                for record in result:
                    _check_record(record, kind, hook)
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
                f"rename it, or block one of them with -p no:NAME"
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

    def _named(self, kind: type[R], name: str, setting: str) -> R:
        if rivals := self._contested.get((kind, name)):
            names = " and ".join(str(rival) for rival in rivals)
            raise PluginError(f"{setting} = {name!r} is ambiguous, provided by {names}; block all but one of them")
        records: dict[str, R] = self._records[kind]
        if name in records:
            return records[name]
        failed = "".join(f"; {plugin} failed: {plugin.error}" for plugin in self.plugins if plugin.status == "failed")
        off = "".join(f"; {plugin} is blocked" for plugin in self.plugins if plugin.status == "blocked")
        known = ", ".join(sorted(records))
        raise UnknownNameError(
            f"{setting} = {name!r} is unknown; known are {known}{did_you_mean(name, records)}{failed}{off}"
        )

    def check_options(self, options: dict[str, dict[str, Any]]) -> None:
        """Raise :class:`ConfigError` for a table ``[tuner_config.options.NAME]`` that no loaded plugin takes."""
        takers = [record for records in self._records.values() for record in records.values()]
        for name in options:
            named = [record for record in takers if record.name == name]
            if not named:
                known = [record.name for record in takers]
                raise ConfigError(f"options.{name}: no plugin of that name is loaded{did_you_mean(name, known)}")
            for record in [record for record in named if record.options] or named:
                bind_options(record, options)

    def notify(self, hook: str, warn: Callable[[str], None], **arguments: Any) -> None:
        """Call a notification hook of every plugin; a failure is only warned about."""
        # pluggy keeps implementations in reverse of the order it calls them in
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except (Exception, SystemExit) as error:
                warn(f"plugin {implementation.plugin_name!r} failed in {hook}: {_describe(error)}")


def bind_options(record: _Named, options: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Keyword arguments with a record's validated options, empty if it has none.

    Raises:
        ConfigError: If the table does not fit the record's model.
    """
    table = options.get(record.name, {})
    if record.options is None:
        if table:
            raise ConfigError(f"options.{record.name}: {record.name} takes no options")
        return {}
    try:
        return {"options": record.options.model_validate(table)}
    except ValueError as error:
        raise ConfigError(f"options.{record.name}: {' '.join(str(error).split())}") from error


def _entry_points() -> list[tuple[metadata.EntryPoint, PluginStatus]]:
    """Entry points of our group, our own first, then by distribution: the order must not depend on ``sys.path``."""
    found: dict[tuple[str, str], tuple[metadata.EntryPoint, PluginStatus]] = {}
    for distribution in metadata.distributions():
        try:
            own = distribution.entry_points.select(group=hookspecs.PROJECT)
            name = distribution.metadata["Name"] if own else ""
            version = distribution.version if own else ""
        except Exception:  # broken metadata of any installed distribution, most of them no plugins of ours
            continue
        for entry_point in own if name else ():
            status = PluginStatus(entry_point.name, name, version)
            # The first on sys.path is the one that imports: an older copy further down does not count.
            found.setdefault((name.lower().replace("_", "-"), entry_point.name), (entry_point, status))
    return [found[key] for key in sorted(found, key=lambda key: (key[0] != OWN_DISTRIBUTION, key))]


def _check_record(record: object, kind: Any, hook: str) -> None:
    if type(record) is not kind:
        raise PluginError(f"{hook} must return {kind.__name__} records, not {type(record).__name__}")
    values: dict[str, Any] = {entry.name: getattr(record, entry.name) for entry in fields(kind)}  # type: ignore[arg-type]
    name = values["name"]
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        raise PluginError(f"{hook}: {name!r} is no valid name; use letters, digits, '-' and '_'")
    for attribute in ("search", "suggest", "run", "is_enabled"):
        if not callable(values.get(attribute, _describe)):
            raise PluginError(f"{hook}: {attribute} of {name!r} is not callable")
    for attribute in ("check", "prepare"):
        if not (values.get(attribute) is None or callable(values[attribute])):
            raise PluginError(f"{hook}: {attribute} of {name!r} is neither None nor callable")
    options = values["options"]
    if not (options is None or (isinstance(options, type) and issubclass(options, BaseModel))):
        raise PluginError(f"{hook}: options of {name!r} is neither None nor a pydantic model")
    if not isinstance(values.get("order", 0), int):
        raise PluginError(f"{hook}: order of {name!r} is no whole number")


def _describe(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"


def _validation_text(error: pluggy.PluginValidationError) -> str:
    """Pluggy's message without the plugin's representation and line breaks."""
    text = " ".join(str(error).split())
    text = text.replace(f" in plugin {error.plugin!r}", "")
    if unknown := re.fullmatch(r"unknown hook '(\w+)'", text):
        hooks = [name for name in vars(hookspecs) if name.startswith(hookspecs.PROJECT)]
        return f"{text}{did_you_mean(unknown[1], hooks)}"
    return text.split(": ", 1)[-1] if text.startswith("Plugin ") else text
