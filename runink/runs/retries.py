"""When what was lost is tried again: exponential back-off with a jitter that is a function of the name, so that it can be replayed."""

from __future__ import annotations

import hashlib
from typing import Final

FIRST_MS: Final = 500
LONGEST_MS: Final = 60_000  # a person who watches would give up before


def backoff_ms(name: str, *, attempt: int) -> int:
    """Return how long to wait before `attempt` (2 is the first retry): doubling, spread by name over a quarter of it."""
    assert attempt >= 2
    whole = min(FIRST_MS << min(attempt - 2, 20), LONGEST_MS)
    digest = hashlib.sha256(f"{name}/{attempt}".encode()).digest()
    return whole * 3 // 4 + int.from_bytes(digest[:4], "big") % (whole // 4)
