"""What a session tells, to be compared with what was sent: frames with the plain values that their bodies hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runink.wire.codec import Raw, decode
from runink.wire.messages import Answer, Ask, Tell


def plain(value: Any) -> Any:
    """Return what came as a plain value."""
    return decode(bytes(value)) if type(value) is Raw else value


def plain_events(events: Iterable[Any]) -> list[Any]:
    """Return the events, with bodies decoded."""
    return [_plain(event) for event in events]


def _plain(event: Any) -> Any:
    match event:
        case Tell(number, target, kind, body, traceparent):
            return Tell(number, target, kind, plain(body), traceparent)
        case Ask(number, target, kind, body, within_ms, traceparent):
            return Ask(number, target, kind, plain(body), within_ms, traceparent)
        case Answer(number, body):
            return Answer(number, plain(body))
        case _:
            return event
