"""Names of a request across processes: X-Request-Id, which people search logs for, and the W3C trace context.

Both are taken from the caller where they are well-formed and made otherwise.  A trace that the caller has begun goes on with a span of
ours; whether it is sampled stays as it was.
"""

from __future__ import annotations

import re
from typing import Final

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_TRACEPARENT: Final = re.compile(
    r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
REQUEST_ID_BYTES: Final = 12
SPAN_BYTES: Final = 8
TRACE_BYTES: Final = 16


def request_id_of(said: str, *, entropy: bytes) -> str:
    """Return what the caller said, if that is an id, or 24 hexadecimal digits of 12 random bytes."""
    assert len(entropy) == REQUEST_ID_BYTES
    return said if _REQUEST_ID.fullmatch(said) else entropy.hex()


def traceparent_of(said: str, *, entropy: bytes) -> str:
    """Return the trace context of a request: a span of ours in the caller's trace, or in a new one. `entropy` are 24 random bytes."""
    assert len(entropy) == TRACE_BYTES + SPAN_BYTES
    span = entropy[:SPAN_BYTES].hex()
    match = _TRACEPARENT.fullmatch(said)
    if match is None or not match["trace"].strip("0") or not match["span"].strip("0"):
        return f"00-{entropy[SPAN_BYTES:].hex()}-{span}-03"  # sampled, and random
    return f"00-{match['trace']}-{span}-{match['flags']}"
