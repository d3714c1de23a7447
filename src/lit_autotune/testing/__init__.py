"""For tests: a conformance kit for plugin authors, curves, memory and objects to try things on.

The kit is what lit-autotune relies on, as plain check functions, one test each::

    @pytest.mark.parametrize("check", plugin_checks())
    def test_conformance(check):
        check(my_plugin)

or for a single record with :func:`suggester_checks`, :func:`strategy_checks` and :func:`step_checks`. A check raises
``AssertionError`` with one line that says what was found. It needs no pytest.

:func:`registered` has a plugin in use without installing it. :func:`memory_limit` lets any code run out of memory, on
any machine and at the same byte each time; :class:`MemoryOracle` stands for memory in a search that runs nothing.
:class:`TinyModule` and :class:`TinyData` train in no time.

Importing this imports neither torch nor Lightning; ``TinyModule`` and ``TinyData`` do when they are asked for.

It imports ``_shared``, ``config``, ``curves``, ``errors``, ``estimate``, ``hookspecs``, ``memory``, ``range_test``,
``registry``, ``search``, ``tuning`` and ``types``.
"""

from typing import TYPE_CHECKING, Any

from lit_autotune.testing.curves import (
    CURVES,
    curve_of,
    diverging_curve,
    flat_curve,
    nan_curve,
    negative_curve,
    noisy_curve,
    plateau_curve,
    valley,
    valley_curve,
)
from lit_autotune.testing.memory import MemoryOracle, memory_limit
from lit_autotune.testing.plugins import plugin_checks, registered
from lit_autotune.testing.state import changed_state
from lit_autotune.testing.steps import step_checks
from lit_autotune.testing.strategies import BATCH_SIZE_STRATEGY_CHECKS, check_batch_size_strategy, strategy_checks
from lit_autotune.testing.suggesters import LR_SUGGESTER_CHECKS, check_lr_suggester, suggester_checks

if TYPE_CHECKING:
    from lit_autotune.testing.tiny import TinyData, TinyModule

__all__ = [
    "BATCH_SIZE_STRATEGY_CHECKS",
    "CURVES",
    "LR_SUGGESTER_CHECKS",
    "MemoryOracle",
    "TinyData",
    "TinyModule",
    "changed_state",
    "check_batch_size_strategy",
    "check_lr_suggester",
    "curve_of",
    "diverging_curve",
    "flat_curve",
    "memory_limit",
    "nan_curve",
    "negative_curve",
    "noisy_curve",
    "plateau_curve",
    "plugin_checks",
    "registered",
    "step_checks",
    "strategy_checks",
    "suggester_checks",
    "valley",
    "valley_curve",
]


def __getattr__(name: str) -> Any:
    if name in ("TinyData", "TinyModule"):
        from lit_autotune.testing import tiny

        return getattr(tiny, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
