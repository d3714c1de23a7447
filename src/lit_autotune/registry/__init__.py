"""Finding plugins, loading them, and checking what they provide.

It imports ``_shared``, ``curves``, ``errors``, ``hookspecs`` and ``types``.
"""

from lit_autotune.registry.options import bind_options
from lit_autotune.registry.registry import Registry

__all__ = ["Registry", "bind_options"]
