"""Results of earlier tunings in a folder: a file for each, written as a whole or not at all."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from lit_autotune._shared.record import Record
from lit_autotune.report.results import TuningReport

SUFFIX = ".autotune.json"
"""Of our files: the folder may be one of the user's that holds others, too."""

Fingerprint = dict[str, Any]
"""What a result depends on, as JSON: tables by topic, such as ``"module"``, with the value of each item."""


class WrittenValue(Record):
    """A value that a tuning wrote, and where.

    Attributes:
        places: Owner and path of each place, e.g. ``("module", "hparams", "lr")``.
        value: What was written there.
    """

    places: tuple[tuple[str, ...], ...]
    value: Any


class CachedResult(Record):
    """What a tuning found, and all it depends on.

    Attributes:
        made: When it was found.
        fingerprint: What it depends on.
        values: What was written to the user's objects.
        report: The report of that tuning.
    """

    made: datetime = Field(default_factory=lambda: datetime.now().astimezone())
    fingerprint: Fingerprint
    values: tuple[WrittenValue, ...]
    report: TuningReport

    @property
    def key(self) -> str:
        """A short name, the same for the same fingerprint."""
        return key_of(self.fingerprint)


def key_of(fingerprint: Fingerprint) -> str:
    """The name of a fingerprint's result: 12 hexadecimal digits."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:12]


def default_folder() -> Path:
    """The folder of the user's that this system keeps such things in."""
    from platformdirs import user_cache_path

    return user_cache_path("lit-autotune")


class ResultStore:
    """The results in a folder, which need not exist.

    Processes may read and write at the same time: a file appears as a whole, and the last of two equal ones stays.

    Args:
        folder: Where they are; by default :func:`default_folder`.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder or default_folder()

    def path(self, key: str) -> Path:
        """Where the result of that key is or would be."""
        return self.folder / f"{key}{SUFFIX}"

    def get(self, fingerprint: Fingerprint) -> CachedResult | None:
        """The result for a fingerprint; ``None`` if there is none that can be read."""
        return _read(self.path(key_of(fingerprint)))

    def put(self, result: CachedResult) -> None:
        """Keep a result.

        Raises:
            OSError: If the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{result.key}-", dir=self.folder)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(result.model_dump_json())
            os.replace(name, self.path(result.key))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def results(self) -> list[CachedResult]:
        """All results that can be read, the newest first."""
        found = [result for path in self.folder.glob(f"*{SUFFIX}") if (result := _read(path))]
        return sorted(found, key=lambda result: result.made, reverse=True)

    def remove(self, keys: list[str] | None = None) -> int:
        """Forget the results of these keys, or all, those that cannot be read included; returns how many."""
        paths = [self.path(key) for key in keys] if keys is not None else list(self.folder.glob(f"*{SUFFIX}"))
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)


def _read(path: Path) -> CachedResult | None:
    try:
        return CachedResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # gone meanwhile, or of another version
        return None


def differences(earlier: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """What differs between two fingerprints, in words, the most telling topics first."""
    found = []
    for topic in (*present, *(topic for topic in earlier if topic not in present)):
        before, now = earlier.get(topic) or {}, present.get(topic) or {}
        found += [
            _difference(f"{topic}: {name}", before.get(name), now.get(name))
            for name in (*now, *(name for name in before if name not in now))
            if before.get(name) != now.get(name)
        ]
    return found


def _difference(name: str, before: Any, now: Any) -> str:
    texts = [json.dumps(value) for value in (before, now)]
    if any(isinstance(value, dict | list) or len(text) > 40 for value, text in zip((before, now), texts, strict=True)):
        return f"{name} changed"
    return f"{name} was {texts[0]}, is {texts[1]}".replace("null", "nothing")
