"""Benchmark of outcomes: does training end better with what was tuned than without it?

Run it from the top of the repository: ``python -m benchmarks.outcome``. It goes on where it was interrupted, and
ends by writing the tables of ``docs/outcome.md`` and ``docs/outcome.png``. ``--development`` measures the other half of
the tasks, those that constants were chosen on, and prints their table only.

- ``tasks``: what a task is; ``suite``: all of them, in two halves
- ``development``, ``held_out``: the tasks; ``*modules``, ``nets``, ``other_nets``: their modules and nets
- ``tables``, ``pictures``, ``scans``, ``signals``, ``texts``, ``data``: their data
- ``measure``: tunes and trains; ``scores``: better, the same or worse; ``report``: tables and plot
"""
