"""Loggers that write nothing, for copied Trainers."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

LOGGER_FACTS = ("name", "version")
LOGGER_FOLDERS = ("save_dir", "root_dir", "log_dir")
LOCAL_LOGGERS = ("CSVLogger", "TensorBoardLogger")

MOST_FOLDERS = 1000
"""Folders that are made anew for what hooks write; a log with more of them is not like any other."""


def silent_logger(package: str, logger: Any, scratch: Path) -> Any:
    """A logger that writes nothing, for modules that look at ``self.logger``.

    Its folders are in a scratch folder, with the subfolders that the real ones have: hooks may write pictures there.

    Args:
        package: The Lightning package of the Trainer.
        logger: The real logger.
        scratch: A folder for what hooks write; it is to be deleted afterwards.
    """
    dummy = importlib.import_module(f"{package}.loggers.logger").DummyLogger
    # Looked up only when asked for: with some loggers that creates a run on a server.
    facts = {name: property(lambda self, name=name: getattr(logger, name)) for name in LOGGER_FACTS}  # type: ignore[misc]
    folders = {
        name: property(lambda self, name=name: _in_scratch(getattr(logger, name), scratch))  # type: ignore[misc]
        for name in LOGGER_FOLDERS
    }
    answers = {
        "__class__": property(lambda self: type(logger)),  # for modules that ask what kind of logger they have
        "experiment": property(lambda self: Nothing(scratch)),
        "__reduce__": lambda self: _reduced_logger(package, logger, scratch),
    }
    return type("SilentLogger", (dummy,), {**facts, **folders, **answers})()


def _in_scratch(folder: Any, scratch: Path) -> Any:
    """The place in the scratch folder that stands for a folder, as the same type."""
    if not isinstance(folder, str | os.PathLike):
        return folder
    real = Path(folder)
    made = scratch.joinpath(*real.parts[bool(real.anchor) :])
    made.mkdir(parents=True, exist_ok=True)
    if real.name and real.is_dir():
        for number, (parent, _, _) in enumerate(os.walk(real)):
            if number >= MOST_FOLDERS:
                break
            (made / Path(parent).relative_to(real)).mkdir(exist_ok=True)
    return type(folder)(str(made)) if isinstance(folder, str) else made


class Nothing:
    """Stands for a logger's experiment: every attribute, call and item of it is itself again.

    As a path it is a scratch folder, as a text it is empty, as a number zero; as a context it does nothing.

    Args:
        scratch: The folder.
    """

    def __init__(self, scratch: Path):
        self._scratch = scratch

    def __getattr__(self, name: str) -> "Nothing":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> "Nothing":
        """Itself, too."""
        return self

    def __getitem__(self, key: Any) -> "Nothing":
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __delitem__(self, key: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __contains__(self, item: object) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> "Nothing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __fspath__(self) -> str:
        return str(self._scratch)

    def __str__(self) -> str:
        return ""

    def __format__(self, spec: str) -> str:
        return format("" if spec.endswith("s") or not spec else 0, spec)

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return 0.0

    def _calculated(self, other: Any) -> Any:
        """What comes of a text or number and nothing: the text or number."""
        return other

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _calculated
    __floordiv__ = __mod__ = __or__ = __ror__ = __and__ = __rand__ = _calculated

    def _compared(self, other: Any) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _compared


def _reduced_logger(package: str, logger: Any, scratch: Path) -> tuple[Any, ...]:
    """Another process gets what is known without a server."""
    facts = (*LOGGER_FACTS, *LOGGER_FOLDERS)
    known = facts if type(logger).__name__ in LOCAL_LOGGERS else ()
    told = {name: getattr(logger, name, None) if name in known else None for name in facts}
    return silent_logger, (package, SimpleNamespace(**told), scratch)
