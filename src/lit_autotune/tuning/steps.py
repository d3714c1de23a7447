"""Which steps run, and calling those of plugins so that they can do no harm."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from lit_autotune._shared.foreign import unchanged_state
from lit_autotune.config import TunerConfig
from lit_autotune.copies.guard import MOST_BYTES, Guard, LeakError
from lit_autotune.errors import AutotuneError, ConfigError, PluginError
from lit_autotune.registry.options import bind_options
from lit_autotune.registry.registry import Registry
from lit_autotune.tuning.context import TuningContext
from lit_autotune.types import TuningStep


def steps_to_run(config: TunerConfig, registry: Registry, warn: Callable[[str], None]) -> list[TuningStep]:
    """Our own steps that are switched on, and those of plugins that the user names, in their order.

    Raises:
        UnknownNameError: If a name is no step that a loaded plugin provides.
        ConfigError: If a name is one of our own steps.
        PluginError: If a step fails to say whether it is to run.
    """
    named = {registry.step(name).name for name in config.steps}
    chosen = []
    for step in registry.steps:
        if registry.is_ours(step):
            if step.name in named:
                raise ConfigError(
                    f"steps: {step.name!r} is built in and has a switch of its own; leave it out of steps"
                )
            wanted = step.is_enabled is None or step.is_enabled(config)
        else:
            wanted = step.name in named and _asked(registry, step, config)
            if step.name in named and not wanted:
                warn(f"step {step.name!r} does not run: with these settings it switches itself off")
        chosen += [step] if wanted else []
    return chosen


def _asked(registry: Registry, step: TuningStep, config: TunerConfig) -> bool:
    if step.is_enabled is None:
        return True
    try:
        with unchanged_state():
            return bool(step.is_enabled(config.model_copy(deep=True)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise registry.blame(step, "failed in is_enabled", error) from error


def call(context: TuningContext, step: TuningStep, part: str, *arguments: Any) -> Any:
    """Call ``check``, ``prepare`` or ``run`` of a step, if it has that.

    Of a plugin's step the process's state is put back, and so are the user's objects if it has changed them.

    Raises:
        PluginError: If a plugin's step fails in its own code, SystemExit included, or has changed the user's objects.
        BaseException: What the user's code raised, Ctrl-C, and this package's own errors, as they are.
    """
    function: Callable[..., Any] | None = getattr(step, part)
    context.step = step.name
    context.options = bind_options(step, context.config.options).get("options")
    if function is None:
        return None
    if context.registry.is_ours(step):
        return function(context, *arguments)
    with unchanged_state(), _Untouched(context, step):
        try:
            return function(context, *arguments)
        except (KeyboardInterrupt, AutotuneError):
            raise
        except BaseException as error:
            if context.is_of_users_code(error):
                raise
            raise context.registry.blame(step, f"failed in {part}", error) from error


def check_result(context: TuningContext, step: TuningStep, result: Any) -> Any:
    """What a step returned, if JSON can hold it.

    Raises:
        PluginError: If it cannot.
    """
    try:
        TypeAdapter(Any).dump_json(result)
    except (PydanticSerializationError, ValueError) as error:
        raise PluginError(
            f"{context.registry.title(step)} returned what JSON cannot hold: {error}; return "
            "numbers, texts, lists, dictionaries or pydantic models"
        ) from error
    return result


class _Untouched:
    """Around code of a plugin's: what it changes of the user's objects is put back, and is its fault."""

    def __init__(self, context: TuningContext, step: TuningStep):
        self._context, self._step = context, step
        # First the hyperparameters: Lightning makes the attribute that they are kept in when they are asked for.
        self._hparams = {role: dict(_hparams(owner)) for role, owner in context.owners.items()}
        self._before = {role: dict(vars(owner)) for role, owner in context.places.items()}
        from torch.nn.parameter import is_lazy

        weights = [one for one in context.module.parameters() if not is_lazy(one)]
        is_kept = sum(one.nbytes for one in weights) <= MOST_BYTES
        self._weights = [(one, one.detach().clone()) for one in weights] if is_kept else []
        self._guard = Guard(context.module)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        touched = [*self._attributes(), *self._tensors()]
        if touched and (error is None or isinstance(error, Exception | SystemExit)):
            title = self._context.registry.title(self._step)
            raise PluginError(
                f"{title} changed your own {', '.join(touched)}, which was put back; a step may change copies, and "
                "have values written by context.apply"
            ) from error

    def _attributes(self) -> Iterable[str]:
        """Put attributes and hyperparameters back; names what was changed."""
        for role, owner in self._context.places.items():
            yield from _restored(role, vars(owner), self._before[role])
        for role, owner in self._context.owners.items():
            yield from _restored(f"{role}.hparams", _hparams(owner), self._hparams[role])

    def _tensors(self) -> Iterable[str]:
        """Put weights, gradients and buffers back; names what was changed."""
        import torch

        try:
            self._guard.check()
        except LeakError as leak:
            with torch.no_grad():
                for one, kept in self._weights:
                    if not torch.equal(one, kept):
                        one.copy_(kept)
            yield str(leak)


def _restored(where: str, present: Any, before: Mapping[str, Any]) -> Iterable[str]:
    for name in [name for name in present if name not in before]:
        del present[name]
        yield f"{where}.{name}"
    for name, value in before.items():
        if name not in present or present[name] is not value:
            present[name] = value
            yield f"{where}.{name}"


def _hparams(owner: Any) -> Any:
    found = getattr(owner, "hparams", None)
    return found if found is not None else {}
