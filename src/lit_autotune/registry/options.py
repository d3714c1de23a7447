"""A plugin's own settings: a pydantic model of the record's, a table ``[tuner_config.options.NAME]`` of the user's."""

from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from lit_autotune._shared.text import first_problem
from lit_autotune.errors import ConfigError


class Named(Protocol):
    """What all records have."""

    @property
    def name(self) -> str:
        """What the user writes."""

    @property
    def options(self) -> type[BaseModel] | None:
        """Model of its options."""


def bind_options(record: Named, options: dict[str, dict[str, Any]]) -> dict[str, Any]:
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
    except ValidationError as error:
        raise ConfigError(f"options.{record.name}: {first_problem(error)}") from error
