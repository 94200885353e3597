"""Ids of what services make: they sort by time, and a call that is repeated makes the same one."""

from __future__ import annotations

from typing import Final

from runink.names import run_id
from runink.operations.calls import ONCE_TIME_DIGITS, Context
from runink.services.behind import Behind

_ENTROPY_BYTES: Final = 10


def made_id(context: Context, behind: Behind) -> str:
    """Return a new id; the same one, for a call that is made again."""
    if not context.once:
        return run_id(now_ms=behind.now_ms(), entropy=behind.entropy(_ENTROPY_BYTES))
    entropy = bytes.fromhex(context.once[ONCE_TIME_DIGITS:][: 2 * _ENTROPY_BYTES])
    return run_id(now_ms=context.began_ms, entropy=entropy)
