"""From an answer to a value: the document that an operation is answered with, or the error that a problem (RFC 9457) stands for. Pure.

Fields of a document that we do not know are left out: the server may be newer.  What is no answer of a Runink server, a proxy's page, say, is told by its
status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec

from runink.errors import (
    Broken,
    Conflict,
    Finding,
    Forbidden,
    Invalid,
    LinkLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    QuotaExceeded,
    Refused,
    RuninkError,
    TimedOut,
    Unavailable,
)
from runink.operations.answers import Event, Kind, Page
from runink.operations.calls import Unauthenticated
from runink.operations.declarations import Operation

ANSWER_BYTES_MAX: Final = 16 << 20  # a page of 500 items is a megabyte or two
MALFORMED: Final = "answer_malformed"
RETRY_S_MAX: Final = 3600.0  # a server that says more is not waited for anyway
_SHOWN_MAX: Final = 4_000  # characters of a problem's text

# Codes that say more than their status.
_BY_CODE: Final[dict[str, type[RuninkError]]] = {
    "quota_exceeded": QuotaExceeded,
    "outcome_unknown": OutcomeUnknown,
    "refused": Refused,
    "key_reused": Refused,
    "stopping": Unavailable,
    "overloaded": Overloaded,
}
_BY_STATUS: Final[dict[int, type[RuninkError]]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    408: TimedOut,
    409: Conflict,
    412: Conflict,
    422: Invalid,
    429: Overloaded,
    500: Broken,
    502: Unavailable,
    503: Unavailable,
    504: TimedOut,
}


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Its body, which may hold a secret, does not show in a `repr`."""

    head: Head
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.head.status}, {len(self.body)} bytes)"


class _Problem(msgspec.Struct, frozen=True):
    """What we read of a problem."""

    code: str = ""
    title: str = ""
    detail: str = ""
    request_id: str = ""
    hint: str = ""
    findings: tuple[Finding, ...] = ()
    revision: int = 0


def document_of(operation: Operation, answer: Answer) -> Any:
    """Return the struct, the Page, or nothing. Raises Unavailable (`answer_malformed`) for what is none."""
    if operation.kind is Kind.NOTHING:
        return None
    try:
        return _decoder(operation).decode(answer.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(f"no {operation.name}: {error}") from None


def event_of(operation: Operation, revision: int, kind: str, data: str) -> Event:
    """Return an event with its data as the operation says. Raises Unavailable (`answer_malformed`)."""
    try:
        return Event(revision, kind, _decoder(operation).decode(data.encode()))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise malformed(f"no event of {operation.name}: {error}") from None


@cache
def _decoder(operation: Operation) -> msgspec.json.Decoder[Any]:
    of_page: Any = Page
    is_page = operation.kind is Kind.PAGE
    return msgspec.json.Decoder(of_page[operation.answer] if is_page else operation.answer)


def error_of(answer: Answer) -> RuninkError:
    """Return the error that an answer of 400 and above stands for."""
    status = answer.head.status
    problem = _Problem()
    if answer.head.media_type.partition(";")[0].strip() == "application/problem+json":
        problem = problem_in(answer.body)
    return _error(status, problem)


def streamed_error(data: str) -> RuninkError:
    """Return the error that ends a stream."""
    try:
        status = msgspec.json.decode(data, type=_Status).status
    except msgspec.DecodeError:
        status = 500
    return _error(status, problem_in(data.encode(errors="replace")))


class _Status(msgspec.Struct, frozen=True):
    status: int = 500


def problem_in(body: bytes) -> _Problem:
    """Return what can be read of a problem; nothing of one that is broken."""
    try:
        return msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, RecursionError):
        return _Problem()


def _error(status: int, problem: _Problem) -> RuninkError:
    by_range = Broken if status >= 500 else Refused
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(status, by_range)
    text = (problem.detail or problem.title)[:_SHOWN_MAX] or f"the server answers with {status}"
    hint = problem.hint
    if kind is Broken and problem.request_id:
        hint = f"the server's log tells more under the request {problem.request_id}"
    code = problem.code
    if issubclass(kind, Invalid):
        return kind(text, findings=problem.findings, code=code, hint=hint)
    if issubclass(kind, Refused):
        return kind(text, code=code, hint=hint, revision=problem.revision)
    return kind(text, code=code, hint=hint)


def retry_after_s(head: Head) -> float:
    """Return how long the server wants to be left alone, 0 where it does not say (or says it as a date, which ours does not)."""
    said = head.headers.get("retry-after", "")
    if not (said.isascii() and said.isdigit()) or len(said) > 9:
        return 0.0
    return min(float(said), RETRY_S_MAX)


def lost() -> LinkLost:
    """Return the error of a connection that has ended in the midst of an answer."""
    return LinkLost("the connection ended before the answer did")


def malformed(why: str) -> Unavailable:
    """Return the error of an answer that is not what it should be."""
    return Unavailable(
        f"the answer is {why}",
        code=MALFORMED,
        hint="is it a Runink server, of a version that this client knows?",
    )
