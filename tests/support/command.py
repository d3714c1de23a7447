"""The `autotune` command, in this process or in one of its own."""

import contextlib
import io
import os
import subprocess
import sys
import traceback
from pathlib import Path
from unittest import mock

from lit_autotune.cli import main

AUTOTUNE = str(Path(sys.executable).with_name("autotune"))


def autotune(*arguments, **environment):
    """Run the command as a shell would, but without the seconds that a new process takes to import torch."""
    out, errors = io.StringIO(), io.StringIO()
    modules, path = set(sys.modules), list(sys.path)
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", [AUTOTUNE, *arguments]),
        mock.patch.object(sys, "dont_write_bytecode", True),
    ):
        try:
            code = int(main())
        except SystemExit as error:
            code = error.code
        except Exception:
            traceback.print_exc()
            code = 1
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(Path.cwd()):
            del sys.modules[name]  # the user's, which the next call imports anew
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())


def autotune_process(*arguments, **environment):
    """Run the command in a process of its own."""
    return subprocess.run([AUTOTUNE, *arguments], capture_output=True, text=True, env={**os.environ, **environment})
