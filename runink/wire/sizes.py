"""How large a message and its answer may be: MESSAGE_BYTES_MAX, unless its class says that it carries data.

    class Read(Request[Pages], frozen=True):
        answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

It holds for the body of the frame, with target and type.  Who sends is refused before anything is sent; of what comes a larger frame ends the connection as soon
as its head is there, and an answer may be as large as the request that was asked says.
"""

from __future__ import annotations

from collections.abc import Callable

from runink.wire.frames import MESSAGE_BYTES_MAX

Sizes = Callable[[str, str], int]  # of a message for this target, of this type


def bytes_max_of(kind: type) -> int:
    """Return how many bytes the frame of a message of this class may have."""
    return getattr(kind, "bytes_max", MESSAGE_BYTES_MAX)


def answer_bytes_max_of(kind: type) -> int:
    """Return how many bytes the frame of the answer to a request of this class may have."""
    return getattr(kind, "answer_bytes_max", MESSAGE_BYTES_MAX)


def none_larger(_target: str, _type: str) -> int:
    """Let no message be large: who serves nobody is sent none."""
    return MESSAGE_BYTES_MAX
