"""Running the steps of a tuning, and writing what they found.

It imports ``_shared``, ``cache``, ``config``, ``copies``, ``curves``, ``errors``, ``estimate``, ``internals``,
``memory``, ``planning``, ``previews``, ``range_test``, ``registry``, ``report``, ``search``, ``trials`` and
``types``.
"""
