"""The new process of :mod:`lit_autotune.isolation`: reads trials from its input, runs them, writes what came out."""

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any

from lit_autotune.budget import read_status


def main() -> None:
    """Serve until the input ends, which it also does when the parent dies."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the user's code prints must not get between the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the parent decides
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    try:
        sandbox = _set_up(requests.get())
    except Exception as error:
        _send(answers, ("unfit", f"{type(error).__name__}: {error}"))
        return
    _send(answers, ("ready", read_status().get("VmRSS", 0)))
    from lit_autotune.trials import try_batch_size

    while True:
        answer(answers, lambda: try_batch_size(sandbox, *pickle.loads(requests.get())))


def answer(stream: IO[bytes], trial: Callable[[], Any]) -> None:
    """Run a trial and send what came out."""
    try:
        _send(stream, ("measured", trial()))
    except Exception as error:
        error.add_note(traceback.format_exc())
        _send(stream, ("failed", error))


def _set_up(payload: bytes) -> Any:
    """The parent's sandbox, in a process that can import what the parent can."""
    settings, sandbox = pickle.loads(payload)
    sys.path[:] = settings["path"]
    import torch

    torch.set_num_threads(settings["threads"])
    torch.set_float32_matmul_precision(settings["precision"])
    torch.use_deterministic_algorithms(settings["deterministic"])
    torch.backends.cudnn.benchmark = settings["benchmark"]
    return pickle.loads(sandbox)


def _send(stream: IO[bytes], message: tuple[str, Any]) -> None:
    try:
        data = pickle.dumps(message)
        pickle.loads(data)
    except Exception:  # the user's exception cannot be sent, or not received
        data = pickle.dumps((message[0], RuntimeError(f"{type(message[1]).__name__}: {message[1]}")))
    write(stream, data)


def write(stream: IO[bytes], data: bytes) -> None:
    """Write one message: its length, then itself."""
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


def read(stream: IO[bytes]) -> bytes | None:
    """Read one message; ``None`` at the end of the stream."""
    length = stream.read(8)
    return stream.read(int.from_bytes(length, "big")) if len(length) == 8 else None


def _listen(stream: IO[bytes], requests: "queue.SimpleQueue[bytes]") -> None:
    while (message := read(stream)) is not None:
        requests.put(message)
    os._exit(0)


if __name__ == "__main__":
    main()
