"""Where the setting of a plain name is kept: at the top of the user's objects, as Lightning has it."""

from lit_autotune.copies.attributes import (
    BATCH_SIZE_NAMES,
    LEARNING_RATE_NAMES,
    Owners,
    find_batch_size,
    find_setting,
    write,
)
from lit_autotune.errors import ConfigError


def learning_rate_name(module: object) -> str | None:
    """The first usual name that the module or its ``hparams`` have at the top; ``None`` if it is to be searched for."""
    return next((name for name in LEARNING_RATE_NAMES if _is_at_top({"module": module}, name)), None)


def batch_size_name(owners: Owners) -> str | None:
    """The usual name, if it stands at the top where the loaders are made; ``None`` if it is to be searched for.

    Where it stands elsewhere only, a search may find what the loaders really read. If that leads nowhere, it counts.
    """
    name = BATCH_SIZE_NAMES[0]
    role = "datamodule" if "datamodule" in owners else "module"
    if _is_at_top({role: owners[role]}, name):
        return name
    try:
        find_batch_size(owners, None)
    except ConfigError:
        return name if _is_at_top(owners, name) else None
    return None


def present_batch_size(owners: Owners, place: str | None) -> int | None:
    """The present batch size; ``None`` if it cannot be found, or is not set."""
    try:
        size = find_batch_size(owners, place).value
    except ConfigError:
        return None
    return None if size is None else int(size)


def write_if_there(module: object, name: str, value: int) -> None:
    """Write a value to the module, too, if it has a place for it."""
    owners = {"module": module}
    if _is_at_top(owners, name):
        for place in find_setting(owners, (), name, name).places:
            write(owners, place, value)


def _is_at_top(owners: Owners, name: str) -> bool:
    try:
        find_setting(owners, (), name, "")
    except ConfigError:
        return False
    return True
