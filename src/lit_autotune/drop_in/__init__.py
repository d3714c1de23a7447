"""Lightning's own interface to tuning: the ``Tuner`` that takes its place.

It imports ``_shared``, ``config``, ``copies``, ``curves``, ``errors``, ``internals``, ``range_test``, ``registry``,
``report``, ``trials``, ``tuning`` and ``types``.
"""
