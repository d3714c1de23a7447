"""All tasks, in two halves."""

from . import development, held_out
from .tasks import Task

DEVELOPMENT: tuple[Task, ...] = development.TASKS
"""To look at as often as one likes."""

HELD_OUT: tuple[Task, ...] = held_out.TASKS
"""To look at once, at the end."""

ALL: tuple[Task, ...] = DEVELOPMENT + HELD_OUT


def find(name: str) -> Task:
    """The task of that name."""
    for task in ALL:
        if task.name == name:
            return task
    raise KeyError(f"no task is named {name!r}; there are {', '.join(repr(task.name) for task in ALL)}")
