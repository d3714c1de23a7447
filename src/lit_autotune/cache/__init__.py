"""Results of earlier tunings, kept on disk, and what they depend on.

It imports ``_shared``, ``config``, ``copies``, ``internals`` and ``report``.
"""
