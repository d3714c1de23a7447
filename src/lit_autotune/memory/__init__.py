"""Memory: budgets, measured peaks, errors that say it ran out, giving it back.

It imports ``_shared`` and ``internals``.
"""
