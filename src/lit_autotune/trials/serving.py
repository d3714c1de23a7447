"""What runs in the new process of :mod:`lit_autotune.trials.new_process`: it reads work and writes what came of it."""

import contextlib
import os
import pickle
import queue
import random
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from lit_autotune.memory.process import resident
from lit_autotune.trials.messages import answer, die_first, send


def main(handle: int) -> None:
    """Serve until the connection ends, which it also does when the parent dies.

    Args:
        handle: This process's end of the connection: a file descriptor, or a handle of Windows.
    """
    connection = _connect(handle)
    os.dup2(2, 1)  # what the user's code prints is no output of the program that waits
    if sys.platform == "linux":
        die_first()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the parent decides
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    try:
        sandbox = _set_up(requests.get())
    except Exception as error:
        send(connection, ("unfit", f"{type(error).__name__}: {error}"))
        return
    send(connection, ("ready", resident()))
    while True:
        answer(connection, lambda: _work(sandbox, connection, requests.get()))


def _work(sandbox: Any, connection: "Connection[Any, Any]", request: bytes) -> Any:
    """Do what is asked for: a function of the sandbox, of one that tells the parent something, and of arguments."""
    function, arguments = pickle.loads(request)
    return function(sandbox, lambda value: send(connection, ("told", value)), *arguments)


def _connect(handle: int) -> "Connection[Any, Any]":
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        return PipeConnection(handle)
    return Connection(handle)


def _set_up(payload: bytes) -> Any:
    """The parent's sandbox, in a process that can import what the parent can."""
    settings, sandbox = pickle.loads(payload)
    sys.path[:] = settings["path"]
    import torch

    torch.set_num_threads(settings["threads"])
    torch.set_float32_matmul_precision(settings["precision"])
    torch.use_deterministic_algorithms(settings["deterministic"])
    torch.backends.cudnn.benchmark = settings["benchmark"]
    torch.set_rng_state(settings["random"])
    random.setstate(settings["python_random"])
    if settings["numpy_random"]:
        import numpy

        numpy.random.set_state(settings["numpy_random"])
    return pickle.loads(sandbox)


def _listen(connection: "Connection[Any, Any]", requests: "queue.SimpleQueue[bytes]") -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            requests.put(connection.recv_bytes())
    os._exit(0)
