"""What the ranks agree on before a search: the memory that trials may take, and what is taken already."""

import functools
from dataclasses import replace

from lit_autotune.copies.ranks import everywhere
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.memory.budget import Budget, find_budget
from lit_autotune.memory.peak import held
from lit_autotune.memory.release import release_memory

DIFFERENT = 0.05
"""Budgets that differ by more than this share are those of different devices, or of one that others use, too."""


def agreed_budget(sandbox: Sandbox, setting: str, margin: float) -> Budget | None:
    """The budget of this process, or the smallest of all processes."""
    found = everywhere(sandbox, functools.partial(_own_budget, sandbox, setting, margin))
    budgets = [budget for budget in found if budget]
    if sandbox.processes:
        sandbox.processes.watch(found[sandbox.trainer.global_rank])
    if not budgets:
        return None
    least = min(budgets, key=lambda budget: budget.usable)
    if len(budgets) < len(found) or len(found) == 1:
        return least
    spare = tuple(budget.usable - least.usable for budget in budgets)
    is_one = max(spare) > DIFFERENT * least.usable
    source = f"{least.source} of rank {budgets.index(least)}, the least of all" if is_one else least.source
    return replace(least, spare=spare, source=source)


def _own_budget(sandbox: Sandbox, setting: str, margin: float) -> Budget | None:
    return find_budget(sandbox.trainer.strategy.root_device, setting, margin)


def agreed_base(sandbox: Sandbox, budget: Budget | None) -> int:
    """What this process holds before the search, in bytes, or that of all processes which holds least."""
    release_memory()
    sizes = everywhere(sandbox, functools.partial(_own_base, sandbox))
    spare = budget.spare if budget and budget.spare else (0,) * len(sizes)
    return max(0, min(size - more for size, more in zip(sizes, spare, strict=True)))


def _own_base(sandbox: Sandbox) -> int:
    return held(sandbox.trainer.strategy.root_device)
