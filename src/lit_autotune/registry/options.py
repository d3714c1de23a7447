"""Options of rules, strategies and steps: the tables of a ``TunerConfig``, validated by the plugin's own models."""

from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from lit_autotune._shared.problems import first_problem
from lit_autotune._shared.text import did_you_mean
from lit_autotune.errors import ConfigError


class Named(Protocol):
    """A record of any kind that a plugin registers."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    @property
    def options(self) -> type[BaseModel] | None:
        """The model of its options."""


def bind_options(record: Named, options: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Keyword arguments with a record's validated options, empty if it has none.

    Raises:
        ConfigError: If the table does not fit the record's model.
    """
    table = next((options[name] for name in spellings(record) if name in options), {})
    if record.options is None:
        if table:
            raise ConfigError(f"options.{record.name}: {record.name} takes no options")
        return {}
    fields = record.options.model_fields
    known = {*fields, *(field.alias for field in fields.values() if field.alias)}
    for name in table if record.options.model_config.get("extra") != "allow" else ():
        if name not in known:
            raise ConfigError(f"options.{record.name}: unknown option {name!r}{did_you_mean(name, known)}")
    try:
        return {"options": record.options.model_validate(table)}
    except ValidationError as error:
        raise ConfigError(f"options.{record.name}: {first_problem(error)}") from error


def spellings(record: Named) -> tuple[str, str]:
    """How a record's options may be called: a name of an environment variable has no hyphen."""
    return record.name, record.name.replace("-", "_")
