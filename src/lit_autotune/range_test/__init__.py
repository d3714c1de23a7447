"""The LR range test, and the rules' reading of it.

It imports ``_shared``, ``config``, ``copies``, ``curves``, ``errors``, ``internals``, ``previews``, ``registry``,
``report``, ``trials`` and ``types``.
"""
