"""Shortened trainings on copies, scored on held-out batches.

It imports ``config``, ``copies``, ``curves``, ``errors``, ``internals``, ``memory``, ``planning`` and ``trials``.
"""
