"""Import strings: ``package.module:Class``, ``package.module.Class`` or ``path/to/file.py:Class``."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from lit_autotune._shared.import_string import load_target
from lit_autotune._shared.problems import first_problem
from lit_autotune._shared.text import did_you_mean
from lit_autotune.errors import ConfigError

CLASS_PATH = "class_path"


def instantiate(value: Any, base: Path = Path(), where: str = "") -> Any:
    """Turn each table with a ``class_path``, at any depth, into an instance; all other keys are its arguments.

    The path names a class, a factory, or an instance that is used as it is.

    Args:
        value: A value as TOML gives it.
        base: Folder that relative paths of ``.py`` files start from.
        where: Name of the table, for error messages.

    Raises:
        TargetError: If a class cannot be found.
        ConfigError: If a class does not take an argument.
    """
    if isinstance(value, list):
        return [instantiate(item, base, f"{where}[{i}]") for i, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    arguments = {name: instantiate(item, base, f"{where}.{name}") for name, item in value.items() if name != CLASS_PATH}
    if CLASS_PATH not in value:
        return arguments
    target = load_target(value[CLASS_PATH], base)
    if inspect.isclass(target) or inspect.isroutine(target) or isinstance(target, functools.partial):
        return call(target, arguments, where)
    if arguments:
        raise ConfigError(f"[{where}]: {value[CLASS_PATH]} is an object already and takes no arguments")
    return target


def call(target: Callable[..., Any], arguments: dict[str, Any], where: str) -> Any:
    """Call a class or factory after checking the arguments' names.

    A table goes to a parameter annotated as a pydantic model or a dataclass as an instance of it.

    Raises:
        ConfigError: If the target does not take, or lacks, an argument.
    """
    try:
        signature = inspect.signature(target)
    except ValueError:  # some classes written in C have none
        return target(**arguments)
    parameters = signature.parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in arguments:
            if name not in parameters:
                raise ConfigError(
                    f"{where}.{name}: {_name(target)} takes no such argument{did_you_mean(name, parameters)}"
                )
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"[{where}]: {_name(target)}: {error}") from None
    hints = _hints(target)
    return target(**{name: _convert(item, hints.get(name), f"{where}.{name}") for name, item in arguments.items()})


def _name(target: Any) -> str:
    return str(getattr(target, "__name__", target))


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):  # unresolvable annotations: pass values as they are
        return {}


def _convert(value: Any, hint: Any, where: str) -> Any:
    """A table as the pydantic model or dataclass that the parameter is annotated as, any other value as it is."""
    record: Any = next((kind for kind in (hint, *get_args(hint)) if _is_record(kind)), None)
    if record is None or not isinstance(value, dict):
        return value
    try:
        return TypeAdapter(record).validate_python(value)
    except PydanticSchemaGenerationError:  # a dataclass with a field of a type such as torch.dtype
        return call(record, value, where)
    except ValidationError as error:
        raise ConfigError(f"{where}.{first_problem(error)}") from error


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or is_dataclass(kind))
