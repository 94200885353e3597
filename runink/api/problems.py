"""Errors as `application/problem+json` (RFC 9457): what is told, in which words, and never more than that.

`type` leads to the code's place on the page that the server itself shows.  What is a bug is told by its code and the request's id alone: its text may
name what the caller must not see.  Things of herds that the caller does not see are told by `absent` (`operations/permission.py`), which says the same about what is there
and what is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from runink.errors import (
    FINDINGS_SHOWN_MAX,
    Broken,
    Finding,
    Invalid,
    Refused,
    RuninkError,
    Unavailable,
    encodable,
)
from runink.operations.calls import Unauthenticated
from runink.operations.codes import Said, said_of
from runink.operations.purses import TooOften

MEDIA_TYPE: Final = "application/problem+json"
RETRY_S: Final = 1  # where nobody knows better: a leader is elected within a second or two
_DETAIL_MAX: Final = 4_000  # characters: what is longer is a mistake of ours
_WITH_RETRY: Final = frozenset({429, 503})


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong with a request. `code` is stable; `request_id` is what the server's log has."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    hint: str = ""
    findings: tuple[Finding, ...] = ()
    revision: int = 0  # with `compacted`: the newest whose changes are gone


@dataclass(frozen=True, slots=True)
class Told:
    """A problem as it is sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpRefused(Refused):
    """Refused by HTTP itself, with headers that say more: Allow, Retry-After."""

    def __init__(self, text: str, *, code: str, headers: Mapping[str, str], hint: str = "") -> None:
        super().__init__(text, code=code, hint=hint)
        self.headers = headers


def type_of(code: str) -> str:
    """Return where a code is explained."""
    return f"/api/v1/docs#problem-{code}"


def tell(error: RuninkError, *, instance: str, request_id: str) -> Told:
    """Return an error as a client is told of it. `instance` is the request's path."""
    said = said_of(error)
    problem = Problem(
        type=type_of(error.code),
        title=said.title,
        status=said.status,
        detail=_detail(error, said),
        instance=encodable(instance),
        code=error.code,
        request_id=request_id,
        hint="" if isinstance(error, Broken) else encodable(error.hint),
        findings=_findings(error),
        revision=error.revision if isinstance(error, Refused) else 0,
    )
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
    if said.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="runink"'
    if said.status in _WITH_RETRY or error.code == "in_flight":
        headers["Retry-After"] = str(RETRY_S)
    if isinstance(error, TooOften):
        headers["Retry-After"] = str(error.retry_s)
    if isinstance(error, HttpRefused):
        headers |= error.headers
    return Told(said.status, headers, msgspec.json.encode(problem))


def _detail(error: RuninkError, said: Said) -> str:
    if isinstance(error, Unauthenticated) or not isinstance(error, Refused | Unavailable):
        return said.meaning  # what is wrong with a token is for the log alone
    return encodable(error.text)[:_DETAIL_MAX]


def _findings(error: RuninkError) -> tuple[Finding, ...]:
    if not isinstance(error, Invalid):
        return ()
    return tuple(
        msgspec.structs.replace(
            one,
            text=encodable(one.text),
            hint=encodable(one.hint),
            source_line=encodable(one.source_line),
        )
        for one in error.findings[:FINDINGS_SHOWN_MAX]
    )
