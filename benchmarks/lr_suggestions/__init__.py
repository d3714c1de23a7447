"""Benchmark of learning-rate suggestions: what is each rule's suggestion worth on small real tasks?

Run it from the top of the repository: ``python -m benchmarks.lr_suggestions``. It goes on where it was interrupted,
and ends by writing ``docs/lr_suggestions.md`` (its tables) and ``docs/lr_suggestions.png``.

- ``data``, ``pictures``, ``sequences``, ``nets``, ``tasks``: what a task is made of
- ``development``, ``second``, ``third``, ``held_out``: the tasks; ``suite``: all of them
- ``truth``: training on a grid of rates, and range tests; ``peers``: other tools, run; ``formulas``: rules of others
- ``results``: the file of results; ``scores``: regret; ``report``: tables and plot
"""
