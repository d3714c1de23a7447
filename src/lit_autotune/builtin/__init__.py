"""The built-in strategies, suggesters and steps: plugins like anybody's, one small module each.

They are declared in this package's own entry points and travel the same road as third-party ones.

It imports ``comparison``, ``config``, ``copies``, ``curves``, ``errors``, ``hookspecs``, ``report``, ``search``,
``trials``, ``tuning`` and ``types``.
"""
