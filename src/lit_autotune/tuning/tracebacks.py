"""Short tracebacks: the frames between the user's own, Lightning's, torch's and ours, are left out."""

from types import TracebackType

from lit_autotune.errors import AutotuneError

FOLDED = ("lit_autotune", "lightning", "pytorch_lightning", "lightning_utilities", "torch")
"""Packages whose frames are left out."""

NOTE = "lit-autotune: frames of Lightning, torch and lit-autotune are left out; is_debug shows them"


def fold(error: BaseException) -> None:
    """Leave the libraries' frames out of an exception's traceback, and of those it came from.

    The exception is the same otherwise; a note says that frames are missing, but in a refusal of our own, whose
    sentence is all that there is to know.
    """
    left_out = 0
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        one.__traceback__, more = _short(one.__traceback__)
        left_out += more
        one = one.__cause__ or one.__context__
    if left_out and not isinstance(error, AutotuneError) and NOTE not in getattr(error, "__notes__", ()):
        error.add_note(NOTE)


def _short(traceback: TracebackType | None) -> tuple[TracebackType | None, int]:
    """The traceback without those frames, but for the last one; and how many were left out."""
    frames: list[TracebackType] = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    kept = [frame for frame in frames if frame is frames[-1] or _package(frame) not in FOLDED]
    short: TracebackType | None = None
    for frame in reversed(kept):
        short = TracebackType(short, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return short, len(frames) - len(kept)


def _package(traceback: TracebackType) -> str:
    return str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
