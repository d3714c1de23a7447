"""Loggers that write nothing, for copied Trainers."""

import importlib
from types import SimpleNamespace
from typing import Any

LOGGER_FACTS = ("name", "version", "save_dir", "root_dir", "log_dir")
LOCAL_LOGGERS = ("CSVLogger", "TensorBoardLogger")


def silent_logger(package: str, logger: Any) -> Any:
    """A logger that writes nothing but knows its folders, for modules that look at ``self.logger.log_dir``."""
    dummy = importlib.import_module(f"{package}.loggers.logger").DummyLogger
    # Looked up only when asked for: with some loggers that creates a run on a server.
    facts = {name: property(lambda self, name=name: getattr(logger, name)) for name in LOGGER_FACTS}  # type: ignore[misc]
    answers = {
        "__class__": property(lambda self: type(logger)),  # for modules that ask what kind of logger they have
        "experiment": property(lambda self: Nothing()),
        "__reduce__": lambda self: _reduced_logger(package, logger),
    }
    return type("SilentLogger", (dummy,), {**facts, **answers})()


class Nothing:
    """Stands for a logger's experiment: every attribute, call and item of it is itself again."""

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


def _reduced_logger(package: str, logger: Any) -> tuple[Any, ...]:
    """Another process gets what is known without a server."""
    known = LOGGER_FACTS if type(logger).__name__ in LOCAL_LOGGERS else ()
    facts = {name: getattr(logger, name, None) if name in known else None for name in LOGGER_FACTS}
    return silent_logger, (package, SimpleNamespace(**facts))
