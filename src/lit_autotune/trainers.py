"""What makes a copied Trainer one that has never run, and leaves no trace: fresh loops, no watchers, silent loggers."""

import importlib
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

KEPT_CALLBACKS = {"WeightAveraging", "StochasticWeightAveraging", "GradientAccumulationScheduler", "BaseFinetuning"}
"""Callbacks that change what a step computes or how much memory it takes. All others only watch, and are dropped."""

LOGGER_FACTS = ("name", "version", "save_dir", "root_dir", "log_dir")
LOCAL_LOGGERS = ("CSVLogger", "TensorBoardLogger")

DROPPED = object()
"""Stands in a copied Trainer for what an earlier fit left behind; the next fit overwrites it."""


def kept(callbacks: Iterable[Any]) -> list[Any]:
    """The callbacks that a trial needs."""
    return [callback for callback in callbacks if any(cls.__name__ in KEPT_CALLBACKS for cls in type(callback).__mro__)]


def stale_parts(trainer: Any, templates: Mapping[str, Any]) -> dict[int, Any]:
    """A memo that keeps what an earlier run left in the Trainer (loops, loaders, optimizers) from being copied."""
    memo: dict[int, Any] = {}
    for loop in (trainer.fit_loop, trainer.validate_loop, trainer.test_loop, trainer.predict_loop):
        memo[id(loop)] = DROPPED
    strategy = trainer.strategy
    for name in ("_optimizers", "_lightning_optimizers", "lr_scheduler_configs"):
        memo[id(getattr(strategy, name))] = []
    ours = {id(template) for template in templates.values()}
    for leftover in (strategy.model, strategy.lightning_module, trainer.datamodule):
        if leftover is not None and id(leftover) not in ours:
            memo[id(leftover)] = DROPPED
    return memo


def renew_loops(trainer: Any, copied: Any) -> None:
    """Give a copied Trainer loops of its own that have not run yet, as ``Trainer.__init__`` makes them."""
    fit = trainer.fit_loop
    copied.fit_loop = type(fit)(copied, min_epochs=fit.min_epochs, max_epochs=fit.max_epochs)
    copied.fit_loop.epoch_loop = type(fit.epoch_loop)(copied, min_steps=fit.min_steps, max_steps=fit.max_steps)
    for name in ("validate_loop", "test_loop"):
        loop = getattr(trainer, name)
        renewed = type(loop)(copied, loop._trainer_fn, loop._stage, inference_mode=loop.inference_mode)
        setattr(copied, name, renewed)
    predict = trainer.predict_loop
    copied.predict_loop = type(predict)(copied, inference_mode=predict.inference_mode)


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
    """Answers itself to whatever is asked of a logger's experiment."""

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
