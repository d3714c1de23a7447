"""What belongs to each of a Trainer's methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainerMethod:
    """One of a Trainer's methods.

    Attributes:
        step: The module's hook that gets the batches.
        hooks: What the names of its other hooks begin with, after ``on_``.
        loop: The Trainer's attribute that holds its loop.
        limit: The Trainer's attribute that limits its batches.
        stages: Whose loaders it uses, as their names begin.
        silent: Arguments with which it prints no tables and keeps nothing.
    """

    step: str
    hooks: str
    loop: str
    limit: str
    stages: tuple[str, ...]
    silent: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


METHODS = {
    "fit": TrainerMethod("training_step", "train", "fit_loop", "limit_train_batches", ("train", "val")),
    "validate": TrainerMethod(
        "validation_step", "validation", "validate_loop", "limit_val_batches", ("val",), {"verbose": False}
    ),
    "test": TrainerMethod("test_step", "test", "test_loop", "limit_test_batches", ("test",), {"verbose": False}),
    "predict": TrainerMethod(
        "predict_step", "predict", "predict_loop", "limit_predict_batches", ("predict",), {"return_predictions": False}
    ),
}
"""All of them, by name."""
