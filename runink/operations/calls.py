"""A call: who asks, under which conditions, and what carries it out. The parts that a server of operations is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from runink.errors import Conflict, Invalid, Refused
from runink.identity.principals import Principal
from runink.identity.vocabulary import Resource, Verb
from runink.operations.declarations import Asked, Operation

ONCE_TIME_DIGITS: Final = 12  # that `Context.once` begins with
SKEW_MS: Final = 60_000  # by which clocks of members may differ
# Lists in headers are short: a client has read a thing once or twice.
_TAGS_MAX: Final = 16
_TAG: Final = re.compile(r'\s*(W/)?"(?P<revision>[0-9]{1,19})?(?P<rest>[!#-~]*)"\s*')


class Unauthenticated(Refused):
    """It is not known who asks. What was wrong with the token is for the log: it is said to nobody else."""

    default_code: ClassVar[str] = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from where. `principal` is nothing where everybody may ask.

    `basic` is what such a one has shown by the scheme Basic (RFC 7617), as it came: clients of OAuth show their id and secret so.
    """

    principal: Principal | None
    address: str = ""
    basic: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """What If-Match says: one of `revisions`, or `is_any` that there is."""

    revisions: frozenset[int] = frozenset()
    is_any: bool = False

    def check(self, revision: int, *, what: str) -> None:
        """Raise Conflict (`precondition_failed`) unless a thing of this revision may be changed. A service asks within the transaction that changes it."""
        if not (self.is_any or revision in self.revisions):
            raise Conflict(
                f"{what} is at revision {revision}, and not as it was read",
                code="precondition_failed",
                hint="read it again and decide anew",
            )


def read_condition(text: str) -> Condition:
    """Return what the text of an If-Match says. Raises Invalid (`bad_request`) if it is none.

    A weak tag matches nothing, as RFC 9110 has it: what was read might have been another form of it.
    """
    if text.strip() == "*":
        return Condition(is_any=True)
    found = set()
    parts = text.split(",")
    for part in parts:
        match = _TAG.fullmatch(part)
        if match is None or len(parts) > _TAGS_MAX:
            raise Invalid(
                "If-Match is no list of ETags", code="bad_request", hint='it looks like "12-5f3a"'
            )
        if match[1] is None and match["revision"] and match["rest"][:1] in {"", "-"}:
            found.add(int(match["revision"]))
    return Condition(frozenset(found))


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: behind `after`, in the list as it was at `revision`."""

    revision: int
    after: str


@dataclass(frozen=True, slots=True)
class Context:
    """What goes with a call beside its request.

    `once` is the same text whenever the same caller repeats the same call with the same Idempotency-Key, and empty without one: what is made goes
    by it, so that a repeat finds it.  It begins with 12 hexadecimal digits: when the first of these calls began, milliseconds of the Unix epoch.
    `condition` is there where the operation is conditional, and where the caller has said one.
    `position` is where a page begins, nothing at its beginning.  `within_s` is how long the caller waits.
    """

    request_id: str
    traceparent: str = ""
    within_s: float = 30.0
    once: str = ""
    condition: Condition | None = None
    position: Position | None = None

    @property
    def began_ms(self) -> int:
        """When the first try of the call began, 0 without an Idempotency-Key."""
        return int(self.once[:ONCE_TIME_DIGITS], 16) if self.once else 0

    def may_have_made(self, made_ms: int) -> bool:
        """Say whether an earlier try of this call may have made what was made then. What was there before its first try was made by another one, as far as the clocks of members agree."""
        return bool(self.once) and made_ms >= self.began_ms - SKEW_MS


class Service(Protocol):
    """Carries operations out."""

    async def call(
        self, operation: Operation, request: Asked, caller: Caller, context: Context
    ) -> Any:
        """Return what the operation's kind says. A refusal is raised as Refused, and what may work later as Unavailable.

        A stream is refused here, before it begins: what its iterator raises is told within the stream.
        """
        ...

    async def denied(
        self,
        operation: Operation,
        path: Mapping[str, str],
        caller: Caller,
        *,
        request_id: str,
        code: str,
    ) -> None:
        """Take note that a call was not let in, because the caller may not. Never raises."""
        ...


class Authenticate(Protocol):
    async def __call__(self, token: str) -> Principal:
        """Return who a token speaks for. Raises Unauthenticated."""
        ...


class Authorize(Protocol):
    """Decides; it never waits, so that a stream can ask before each event."""

    def allows(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        """Say whether it may be done. `herd` is empty for what belongs to none, `name` for what is a list."""
        ...

    def hides(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        """Say whether rules that speak of names keep this from the principal, who may do it to others of the kind; or deny it by this name."""
        ...

    def sees(self, principal: Principal, herd: str) -> bool:
        """Say whether the principal may know that a herd is there: it is allowed anything in it."""
        ...
