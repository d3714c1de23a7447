"""All tasks, in two parts: rules and thresholds were developed on one, and are judged by the other."""

from benchmarks.lr_suggestions import development, held_out, second, third

DEVELOPMENT = (*development.TASKS, *second.TASKS, *third.TASKS)
HELD_OUT = held_out.TASKS
ALL = (*DEVELOPMENT, *HELD_OUT)
