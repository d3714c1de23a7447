"""A configuration that Hydra composes for one job, and the process as that job expects it."""

import contextlib
import copy
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lit_autotune.errors import ConfigError
from lit_autotune.internals.packages import require

MARKER = ".project-root"
"""What the lightning-hydra template, by way of rootutils, knows the project's root by."""
ROOT_VARIABLE = "PROJECT_ROOT"

NOISE = ("object_type", "reference_type", "set env var", "Config search path", "provider=")
"""How lines of Hydra's errors begin that do not help."""


class Source(NamedTuple):
    """One file that a configuration is composed of.

    Attributes:
        path: The file.
        package: The keys that its content lies below.
    """

    path: Path
    package: tuple[str, ...]


class HydraJob:
    """What ``python train.py OVERRIDES`` would have as its configuration.

    Args:
        config: The folder of the configuration and the name in it, ``configs/train``.
        overrides: As on Hydra's command line; later ones win.

    Raises:
        ConfigError: If there is no such configuration, or Hydra is missing.
    """

    def __init__(self, config: Path, overrides: Sequence[str]):
        require("hydra", "hydra")
        self._config = config
        self._folder = config.parent.resolve()
        self._name = config.stem if config.suffix in (".yaml", ".yml") else config.name
        self.overrides = list(overrides)
        self._check()
        self._cfg: Any = None
        above = (self._folder, *self._folder.parents)
        self._root = next((folder for folder in above if (folder / MARKER).exists()), Path.cwd())

    @property
    def config(self) -> Any:
        """The job's configuration, without the part that is Hydra's own; to be used while the job is active."""
        task = copy.deepcopy(self._composed())
        from omegaconf import OmegaConf

        OmegaConf.set_readonly(task, False)
        OmegaConf.set_struct(task, False)
        del task["hydra"]
        return task

    def override(self, *overrides: str) -> None:
        """Add overrides that are above all others."""
        self.overrides += overrides
        self._cfg = None

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Let ``${hydra:...}`` resolve and the project be imported; all is put back afterwards."""
        from hydra.core.hydra_config import HydraConfig

        # The script lies beside its configurations, or in a folder below the root as the configurations do.
        folders = [str(folder) for folder in (Path.cwd(), self._root, self._folder.parent)]
        path, before = list(sys.path), HydraConfig.instance().cfg
        sys.path[:0] = [folder for folder in dict.fromkeys(folders) if folder not in path]
        try:
            with _environment({ROOT_VARIABLE: os.environ.get(ROOT_VARIABLE, str(self._root))}):
                composed = self._composed()
                with _environment(dict(composed.hydra.job.env_set)):
                    HydraConfig.instance().set_config(composed)
                    yield
        finally:
            HydraConfig.instance().cfg = before
            sys.path[:] = path

    def sources(self) -> list[Source]:
        """The files that the configuration is composed of, later ones above earlier ones."""
        from hydra.types import RunMode

        # the others are Python packages, Hydra's own among them, and hold nothing of the user's
        folders = [Path(one.path) for one in self._composed().hydra.runtime.config_sources if one.schema == "file"]
        with self._hydra() as loader:
            defaults = loader.compute_defaults_list(self._name, self.overrides, RunMode.RUN).defaults
        found = []
        for default in defaults:
            files = [folder / f"{default.config_path}.yaml" for folder in folders]
            file = next((file for file in files if file.is_file()), None)
            if file is not None:
                found.append(Source(file, tuple(name for name in (default.package or "").split(".") if name)))
        return found

    def error(self, reason: object) -> ConfigError:
        """An error that names the configuration."""
        return ConfigError(f"--hydra {self._config}: {reason}")

    def _check(self) -> None:
        if self._config.is_dir():
            raise self.error(f"is a folder; add the name of a configuration in it: {self._names(self._config)}")
        if not self._folder.is_dir():
            raise self.error(f"there is no folder {self._config.parent}")
        if not any((self._folder / f"{self._name}{end}").is_file() for end in (".yaml", ".yml")):
            has = self._names(self._folder)
            raise self.error(f"there is no {self._name}.yaml in {self._config.parent}; it has {has}")
        for word in self.overrides:
            if "=" not in word and not word.startswith("~"):
                raise self.error(f"{word!r} is no override such as data.batch_size=64")

    @staticmethod
    def _names(folder: Path) -> str:
        return ", ".join(sorted(path.stem for path in folder.glob("*.y*ml"))) or "no YAML file"

    def _composed(self) -> Any:
        """The whole configuration, with the folder that the job would write to."""
        if self._cfg is None:
            from hydra import compose
            from hydra.core.hydra_config import HydraConfig
            from omegaconf import OmegaConf, open_dict, read_write

            with self._hydra():
                composed: Any = compose(self._name, self.overrides, return_hydra_config=True)
                before = HydraConfig.instance().cfg
                HydraConfig.instance().set_config(composed)
                try:
                    folder = OmegaConf.select(composed, "hydra.run.dir")
                finally:
                    HydraConfig.instance().cfg = before
            with read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
                composed.hydra.runtime.output_dir = os.path.abspath(folder)
            self._cfg = composed
        return self._cfg

    @contextlib.contextmanager
    def _hydra(self) -> Iterator[Any]:
        """Hydra as it composes: its loader of configurations. What it was busy with before is put back."""
        from hydra import initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra
        from hydra.errors import HydraException
        from hydra.version import VersionBase
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        busy, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
        base = VersionBase.instance()
        VersionBase.set_instance(copy.copy(base))
        try:
            with initialize_config_dir(str(self._folder), job_name=self._name, version_base=None):
                yield GlobalHydra.instance().config_loader()
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise self.error(one_line(error)) from error
        finally:
            GlobalHydra.instance().hydra = busy
            VersionBase.set_instance(base)


def one_line(error: BaseException) -> str:
    """What Hydra or OmegaConf say over several lines, the reason behind it included."""
    said = str(error)
    if error.__cause__ and str(error.__cause__) not in said:
        said += f"\n{error.__cause__}"
    if "Unsupported interpolation type" in said:
        said += (
            "\nhave the module of a _target_ register its resolver, or call lit_autotune.tune in the project's script"
        )
    lines = [line.strip().rstrip(":. ") for line in said.splitlines()]
    return "; ".join(line for line in dict.fromkeys(lines) if line and not line.startswith(NOISE))


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, old in before.items():
            os.environ.pop(name, None)
            if old is not None:
                os.environ[name] = old
