"""The trace of a run, in W3C's terms: the run is the trace, each attempt of a slice is a span of it.

    traceparent    00-TRACE-SPAN-03    version, 16 and 8 bytes in hexadecimal digits, sampled and random
    TRACE          of SHA-256 over the run's id
    SPAN           of SHA-256 over the run's id, the slice's and the number of the attempt

All of it follows from ids that are there already, so it is stored nowhere, is the same wherever it is asked for, also after a restart, and a
run that is replayed has the trace that it had.  A run's id is random (80 bits), so its trace is.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from runink.names import RunId, SliceId

VERSION: Final = "00"
FLAGS: Final = "03"  # sampled, and the trace's id is random
TRACE_DIGITS: Final = 32
SPAN_DIGITS: Final = 16


class Span(NamedTuple):
    """Where an attempt of a slice stands in traces."""

    trace_id: str
    span_id: str

    @property
    def traceparent(self) -> str:
        return f"{VERSION}-{self.trace_id}-{self.span_id}-{FLAGS}"


def span_of(run: RunId, slice_id: SliceId, attempt: int) -> Span:
    """Return the span of a slice's attempt."""
    return Span(_digits(run, TRACE_DIGITS), _digits(f"{run}/{slice_id}/{attempt}", SPAN_DIGITS))


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
