"""The private parts of Lightning that are used, one accessor each.

It imports ``errors``.
"""
