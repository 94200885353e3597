"""From what a service returns to what is sent: status, headers, bytes; and whether it has changed since it was last seen.

ETag      "REVISION-HASH": the revision that If-Match speaks of, and what was shown of it, which differs where values are masked
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from runink.operations.answers import Kind
from runink.operations.declarations import JSON, Operation

_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def reply_of(operation: Operation, answer: Any) -> Reply:
    """Return the reply to an operation whose answer is a document, a Page, or nothing."""
    if operation.kind is Kind.NOTHING:
        return Reply(204, {}, b"")
    body = msgspec.json.encode(answer)
    headers = {"Content-Type": JSON}
    if operation.cached_s:
        headers["Cache-Control"] = f"public, max-age={operation.cached_s}"
    revision = getattr(answer, "revision", 0)
    if revision:
        headers["ETag"] = f'"{revision}-{sha256(body).hexdigest()[:12]}"'
    return Reply(operation.status, headers, body)


def is_known(tag: str, if_none_match: str) -> bool:
    """Say whether the caller has this already. The comparison is weak, as RFC 9110 has it for If-None-Match."""
    if not tag or not if_none_match:
        return False
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)
