"""A call by the wire, as it came, and what it says beside its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runink.clients.api_requests import Call
from runink.errors import Invalid, Refused
from runink.operations.calls import Condition
from runink.operations.declarations import HERD, Operation, path_names
from runink.services.packing import packed_bytes
from runink.services.parties import Party
from runink.wire.frames import MESSAGE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Came:
    """A call as it came."""

    party: Party
    call: Call
    request_id: str
    began_s: float
    size_bytes: int

    @property
    def herd(self) -> str:
        """Return the herd that it names, whether it is one or not."""
        herd = self.call.fields.get(HERD, "")
        return herd if isinstance(herd, str) else ""


def condition_of(operation: Operation, said: str) -> Condition | None:
    """Return what `if_match` says. Raises Invalid (`bad_request`) and Refused (`precondition_required`)."""
    if not operation.is_conditional:
        if said:
            raise without_effect("if_match", operation)
        return None
    if not said:
        raise Refused(
            "if_match is missing: a change says which revision it was decided on",
            code="precondition_required",
            hint="send the revision of what you have read",
        )
    if said == "*":
        return Condition(is_any=True)
    if not (said.isascii() and said.isdigit()):
        raise Invalid("if_match is a revision in digits, or *", code="bad_request")
    return Condition(frozenset({int(said)}))


def check_bytes(operation: Operation, fields: Mapping[str, Any]) -> None:
    """Raise Refused (`body_too_large`) for bytes that HTTP would not take either."""
    most = operation.body_bytes_max or MESSAGE_BYTES_MAX
    if any(isinstance(one, bytes) and len(one) > most for one in fields.values()):
        text = f"{operation.name} takes {most} bytes at once"
        raise Refused(text, code="body_too_large", hint="send less at once")


def size_bytes(fields: Mapping[str, Any]) -> int:
    """Return about how many bytes a call has brought: bytes are not written once more to be counted."""
    plain = {name: one for name, one in fields.items() if not isinstance(one, bytes)}
    large = sum(len(one) for one in fields.values() if isinstance(one, bytes))
    return large + packed_bytes(plain)


def without_effect(name: str, operation: Operation) -> Invalid:
    return Invalid(
        f"{name} has no effect on {operation.name}", code="bad_request", hint="leave it out"
    )


def path_of(operation: Operation, fields: Mapping[str, Any]) -> str:
    """Return the path that a call has in HTTP, as far as it was said."""
    path = operation.path
    for name in path_names(operation.path):
        path = path.replace(f"{{{name}}}", str(fields.get(name, ""))[:64])
    return path[:256]
