"""Which plugins are installed, and what became of them."""

from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal, NamedTuple

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
        notes: What is not in order, though it is in use.
        module: The Python module of the entry point.
        traceback: Of the error, if it failed.
    """

    name: str
    distribution: str
    version: str
    status: Literal["loaded", "blocked", "failed"] = "loaded"
    error: str = ""
    provides: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    module: str = ""
    traceback: str = ""

    @property
    def names(self) -> tuple[str, str]:
        """What it can be blocked by."""
        return self.name, f"{self.distribution}:{self.name}"

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.distribution} {self.version}".rstrip()


class FoundPlugin(NamedTuple):
    """An installed entry point, before it is imported.

    Attributes:
        entry_point: The entry point.
        requirements: What its distribution requires of us.
        status: What will become of it.
    """

    entry_point: metadata.EntryPoint
    requirements: list[str]
    status: PluginStatus


def _may_be_us(requirement: str) -> bool:
    """Whether a requirement begins with our name; to parse all of them takes longer than to load the plugins."""
    return requirement.lower().replace("_", "-").replace(".", "-").startswith(OWN_DISTRIBUTION)


def find_entry_points() -> list[FoundPlugin]:
    """Entry points of our group, our own first, then by distribution: the order must not depend on ``sys.path``."""
    found: dict[tuple[str, str], FoundPlugin] = {}
    for distribution in metadata.distributions():
        try:
            own = distribution.entry_points.select(group=hookspecs.PROJECT)
            name = distribution.metadata["Name"] if own else ""
            version = distribution.version if own else ""
            requirements = [one for one in (distribution.requires or ()) if _may_be_us(one)] if own else []
        except Exception:  # broken metadata of any installed distribution, most of them no plugins of ours
            continue
        for entry_point in own if name else ():
            status = PluginStatus(entry_point.name, name, version, module=entry_point.value.partition(":")[0].strip())
            # The first on sys.path is the one that imports: an older copy further down does not count.
            found.setdefault(
                (name.lower().replace("_", "-"), entry_point.name), FoundPlugin(entry_point, requirements, status)
            )
    return [found[key] for key in sorted(found, key=lambda key: (key[0] != OWN_DISTRIBUTION, key))]
