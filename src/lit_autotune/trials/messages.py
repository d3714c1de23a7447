"""Messages between a trial's process and the one that waits for it."""

import pickle
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


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
