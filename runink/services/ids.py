"""Ids of what services make: they sort by time, and a call that is repeated makes the same one."""

from __future__ import annotations

from typing import Final

from runink.names import run_id
from runink.operations.calls import Context
from runink.services.behind import Behind

_TIME_DIGITS: Final = 12  # of what a call goes by: when it began
_ENTROPY_BYTES: Final = 10


def made_id(context: Context, behind: Behind) -> str:
    """Return a new id; the same one, for a call that is made again."""
    if not context.once:
        return run_id(now_ms=behind.now_ms(), entropy=behind.entropy(_ENTROPY_BYTES))
    time, rest = context.once[:_TIME_DIGITS], context.once[_TIME_DIGITS:]
    entropy = bytes.fromhex(rest[: 2 * _ENTROPY_BYTES])
    return run_id(now_ms=int(time, 16), entropy=entropy)
