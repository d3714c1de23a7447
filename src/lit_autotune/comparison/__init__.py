"""The values found against the present ones.

It imports ``config``, ``copies``, ``curves``, ``errors``, ``planning``, ``range_test``, ``report``, ``tuning`` and
``types``.
"""
