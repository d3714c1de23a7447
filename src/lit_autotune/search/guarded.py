"""A strategy's search, guarded: it leaves the user's state alone, keeps to the rules, and is named if it does not."""

import types
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from lit_autotune._shared.foreign import call_foreign, named_when_slow
from lit_autotune.errors import PluginError
from lit_autotune.registry.registry import Registry
from lit_autotune.types import BatchSizeSearch, BatchSizeStrategy, BatchSizeTrial, SearchSpace


def guarded(strategy: BatchSizeStrategy, registry: Registry) -> BatchSizeStrategy:
    """The strategy with a search that raises :class:`PluginError` for whatever goes wrong in it but Ctrl-C."""

    def ask(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        try:
            with named_when_slow(f"still waiting for {registry.title(strategy)}"):
                return call_foreign(function, *arguments, **keywords)
        except (StopIteration, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise registry.blame(strategy, "failed", error) from error

    def search(space: SearchSpace, **options: Any) -> BatchSizeSearch:
        sizes = ask(strategy.search, space, **options)
        if not isinstance(sizes, Generator):
            error = PluginError(f"search must be a generator, not return {type(sizes).__name__}; use yield")
            raise registry.blame(strategy, "failed", error)
        return _GuardedSearch(sizes, space, ask, lambda error: registry.blame(strategy, "failed", error))

    return replace(strategy, search=search)


class _GuardedSearch(Generator[int, BatchSizeTrial, None]):
    """A search each step of which is guarded.

    No generator function: one that is collected as garbage runs its ``finally`` in the midst of anything, and the guard
    takes locks of torch's that may be held just then.
    """

    def __init__(
        self,
        sizes: BatchSizeSearch,
        space: SearchSpace,
        ask: Callable[..., Any],
        blame: Callable[[PluginError], PluginError],
    ):
        self._sizes, self._space, self._ask, self._blame = sizes, space, ask, blame

    def send(self, trial: Any) -> int:
        """Go on to the next size."""
        return self._checked(self._ask(self._sizes.send, trial))

    def throw(self, *error: Any) -> int:
        """Go on with an error."""
        return self._checked(self._ask(self._sizes.throw, *error))

    def close(self) -> None:
        """End the search."""
        self._ask(self._sizes.close)

    def _checked(self, size: Any) -> int:
        if wrong := _what_is_wrong(size, self._space):
            raise self._blame(PluginError(wrong).with_traceback(_line_of(self._sizes)))
        return int(size)


def _what_is_wrong(size: Any, space: SearchSpace) -> str:
    """Which rule a size breaks; empty if none."""
    if type(size) is not int:
        return f"search must yield int, not {size!r} of type {type(size).__name__}"
    if size not in space:
        top = "" if space.max_val is None else f" and at most space.max_val = {space.max_val}"
        return f"search must yield at least 1{top}, not {size}"
    return ""


def _line_of(sizes: BatchSizeSearch) -> types.TracebackType | None:
    """Where a generator waits, as a traceback."""
    frame = getattr(sizes, "gi_frame", None)
    return types.TracebackType(None, frame, frame.f_lasti, frame.f_lineno) if frame else None
