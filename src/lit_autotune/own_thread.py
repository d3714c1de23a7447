"""Calls in a thread of their own, for errors that stick to a thread."""

import threading
from collections.abc import Callable


def in_own_thread(call: Callable[[], object], on_interrupt: Callable[[], None]) -> None:
    """Call a function in a new thread, and wait for it.

    Once a convolution ran out of memory on a CPU, oneDNN may refuse every new one in that thread for good ("could not
    create a primitive"). The user's own thread must not catch that, for the later ``fit`` runs there.

    Args:
        call: The function. What it raises comes out here.
        on_interrupt: Called at Ctrl-C, to have the function end soon.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        thread.join()
    except BaseException:
        on_interrupt()
        thread.join()
        raise
    if errors:
        raise errors.pop()
