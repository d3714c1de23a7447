"""Finding plugins, loading them, and checking what they provide."""

from lit_autotune.registry.registry import Registry, bind_options

__all__ = ["Registry", "bind_options"]
