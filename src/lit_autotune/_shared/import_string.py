"""Import strings: ``package.module:Class``, ``package.module.Class`` or ``path/to/file.py:Class``."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from lit_autotune._shared.text import did_you_mean
from lit_autotune.errors import TargetError


def load_target(target: str, base: Path = Path()) -> Any:
    """The object that an import string names.

    Args:
        target: The import string.
        base: Folder that relative paths of ``.py`` files start from.

    Raises:
        TargetError: If the string is malformed, or the module or the attribute does not exist. An import that fails
            *inside* the user's module keeps its own traceback.
    """
    module_name, _, attribute = target.rpartition(":" if ":" in target else ".")
    is_file = module_name.endswith(".py")
    if not module_name or not attribute or (module_name.startswith(".") and not is_file):
        raise TargetError(f"target {target!r} is not of the form 'package.module:Class' or 'path/to/file.py:Class'")
    module = load_file(base / module_name, target) if is_file else _import_module(module_name, target)
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise TargetError(
                f"target {target!r}: {module_name} has no attribute {part!r}{did_you_mean(part, vars(module))}"
            ) from None
    return found


def _import_module(name: str, target: str) -> Any:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as with `python -m`: the shell's folder is importable
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only the target itself may be missing; a missing import inside it is the user's error and stays theirs.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise TargetError(f"target {target!r}: there is no module {error.name!r}; is it installed?") from None
        raise


def load_file(path: Path, target: str) -> Any:
    """The module that a Python file makes.

    Args:
        path: The file.
        target: What the user wrote, for error messages.

    Raises:
        TargetError: If there is no such file, or a module of its name is imported already.
    """
    if not path.is_file():
        raise TargetError(f"target {target!r}: there is no file {path}")
    path = path.resolve()
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if loaded is not None or spec is None or spec.loader is None:
        raise TargetError(f"target {target!r}: a module named {name!r} is already imported; rename the file")
    sys.path.insert(0, str(path.parent))  # as with `python file.py`: its neighbours are importable
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
