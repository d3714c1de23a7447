"""Proof that a batch-size setting changes the batches that arrive."""

from collections.abc import Callable
from typing import TypeVar

from lit_autotune.copies.attributes import Setting
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.errors import ConfigError

T = TypeVar("T")


def prove_effect(
    sandbox: Sandbox,
    setting: Setting,
    arrive: Callable[[int], T],
    sizes: tuple[int, int],
    differ: Callable[[T, T], bool],
    what: Callable[[T], str],
    reader: str = "train_dataloader",
    known: tuple[T, T] | None = None,
) -> tuple[T, T]:
    """What arrives with two batch sizes, which has to differ.

    Batches may be made in ``setup()``, which runs once for all copies: if nothing differs it runs for each from now on.

    Args:
        sandbox: Makes the copies.
        setting: Where the batch size is kept.
        arrive: Says what arrives with a batch size.
        sizes: The two.
        differ: Whether two of its answers differ.
        what: What does not change, in words.
        reader: Who has to read the setting.
        known: What arrives with them, if that is known already.

    Raises:
        ConfigError: If nothing differs.
    """
    first, second = known or (arrive(sizes[0]), arrive(sizes[1]))
    if not differ(first, second):
        sandbox.repeat_setup()
        first, second = arrive(sizes[0]), arrive(sizes[1])
    if not differ(first, second):
        raise ConfigError(
            f"changing {setting} does not change {what(first)}; let {reader} read it, or name the right place with "
            "batch_size_attribute"
        )
    return first, second
