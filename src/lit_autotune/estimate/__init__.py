"""Batch sizes for memory that is not here, by fake tensors.

It imports ``_shared``, ``config``, ``copies``, ``errors``, ``internals``, ``memory``, ``report`` and ``trials``.
"""
