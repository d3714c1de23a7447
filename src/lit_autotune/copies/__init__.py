"""Throwaway copies of the user's objects, and runs on them.

It imports ``_shared``, ``curves``, ``errors``, ``internals``, ``memory`` and ``planning``.
"""
