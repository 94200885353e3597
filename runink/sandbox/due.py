"""When the next of several things is to be done."""

from __future__ import annotations


def soonest(*times: float | None) -> float | None:
    """Return the first of these moments; nothing if there is none. Asked after each event, so it makes nothing."""
    first = None
    for due_s in times:
        if due_s is not None and (first is None or due_s < first):
            first = due_s
    return first
