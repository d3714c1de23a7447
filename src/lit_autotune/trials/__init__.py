"""One batch-size trial, and the process that it runs in.

It imports ``_shared``, ``config``, ``copies``, ``errors``, ``internals``, ``memory``, ``planning`` and ``types``.
"""
