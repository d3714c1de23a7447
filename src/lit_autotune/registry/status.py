"""Which plugins are installed, and what became of them."""

from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal

from lit_autotune import hookspecs

OWN_DISTRIBUTION = "lit-autotune"


@dataclass(slots=True)
class PluginStatus:
    """One entry point and what became of it.

    Attributes:
        name: Name of the entry point.
        distribution: Name of the installed distribution that declares it.
        version: Version of that distribution.
        status: Whether it is in use.
        error: Why it is not, in one line.
        provides: What it registered, e.g. ``"suggester steepest"``.
    """

    name: str
    distribution: str
    version: str
    status: Literal["loaded", "blocked", "failed"] = "loaded"
    error: str = ""
    provides: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.distribution} {self.version}".rstrip()


def find_entry_points() -> list[tuple[metadata.EntryPoint, PluginStatus]]:
    """Entry points of our group, our own first, then by distribution: the order must not depend on ``sys.path``."""
    found: dict[tuple[str, str], tuple[metadata.EntryPoint, PluginStatus]] = {}
    for distribution in metadata.distributions():
        try:
            own = distribution.entry_points.select(group=hookspecs.PROJECT)
            name = distribution.metadata["Name"] if own else ""
            version = distribution.version if own else ""
        except Exception:  # broken metadata of any installed distribution, most of them no plugins of ours
            continue
        for entry_point in own if name else ():
            status = PluginStatus(entry_point.name, name, version)
            # The first on sys.path is the one that imports: an older copy further down does not count.
            found.setdefault((name.lower().replace("_", "-"), entry_point.name), (entry_point, status))
    return [found[key] for key in sorted(found, key=lambda key: (key[0] != OWN_DISTRIBUTION, key))]
