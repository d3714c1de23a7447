"""What a trial's process owes to the one that waits for it: messages, and to end before it."""

import contextlib
import ctypes
import pickle
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


def die_first() -> None:
    """On Linux: end this process with its parent, whatever it does then, and before it if memory runs out."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def answer(connection: "Connection[Any, Any]", trial: Callable[[], Any]) -> None:
    """Run a trial and send what came out."""
    try:
        send(connection, ("measured", trial()))
    except Exception as error:
        error.add_note(traceback.format_exc())
        send(connection, ("failed", error))


def send(connection: "Connection[Any, Any]", message: tuple[str, Any]) -> None:
    """Send what came out of a trial: what kind it is, and what it is."""
    try:
        data = pickle.dumps(message)
        pickle.loads(data)
    except Exception:  # the user's exception cannot be sent, or not received
        data = pickle.dumps((message[0], RuntimeError(f"{type(message[1]).__name__}: {message[1]}")))
    connection.send_bytes(data)
