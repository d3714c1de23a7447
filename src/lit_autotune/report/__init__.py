"""What the user gets and sees: the results, what is printed.

It imports ``_shared``, ``config``, ``curves``, ``planning`` and ``types``.
"""
