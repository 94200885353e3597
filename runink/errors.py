"""Every error that Runink raises, and the findings that it reports.

    RuninkError(code, text, hint)
      Refused          the caller must change something          a reply, never a crash
        Invalid          it holds findings: what, where, how to mend it
        NotFound
        Conflict         it was decided on something that has changed since
        Forbidden
        QuotaExceeded
      Unavailable      the same call may work later              retry with back-off
        NotLeader
        Overloaded
        TimedOut
        LinkLost
        OutcomeUnknown   it may have happened                    retry only with an idempotency key
      Broken           a bug or damage                           crash, supervisor
        WalCorrupt
        InvariantBroken
        ProtocolViolation

A class exists only where some caller acts on it.  Everything finer is the `code`: a stable string that crosses
the wire (`to_wire`, `from_wire`), shows in the command line and stands in the docs.  No exception is ever pickled.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

FINDINGS_SHOWN_MAX = (
    50  # more findings than this are counted, not listed: nobody reads the fifty-first
)


class Span(msgspec.Struct, frozen=True):
    """Where in a text: 1-based line and column; `length` in characters, at least 1."""

    file: str
    line: int
    column: int
    length: int = 1


class Label(msgspec.Struct, frozen=True):
    """Another place that a finding speaks of, and what is there: `opened here`."""

    span: Span
    text: str
    source_line: str = ""


class Finding(msgspec.Struct, frozen=True):
    """One mistake in what somebody wrote: a value, so that all of them can be told at once.

    `code` is stable (`D010`), `text` says what is wrong, `hint` how to mend it, `span` where it stands (nothing
    where it belongs to no line) and `source_line` is that line itself, for the frame around the caret. `labels` are
    other places that it speaks of, in order.
    """

    code: str
    text: str
    span: Span | None = None
    hint: str = ""
    source_line: str = ""
    labels: tuple[Label, ...] = ()


class RuninkError(Exception):
    """The root. `code` is stable, `text` says what and where, `hint` says what to do about it."""

    default_code: ClassVar[str] = "broken"

    def __init__(self, text: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(text)
        self.code = code or self.default_code
        self.text = text
        self.hint = hint


class Refused(RuninkError):
    """The caller must change something; the same call gives the same answer.

    `revision` goes with two codes: with `compacted` it is the newest one whose changes are gone, so a watch can go on behind it, and with `future_revision` the newest that there is.
    """

    default_code = "refused"

    def __init__(self, text: str, *, code: str = "", hint: str = "", revision: int = 0) -> None:
        super().__init__(text, code=code, hint=hint)
        self.revision = revision


class Invalid(Refused):
    """What the caller wrote is wrong; `findings` says all that is."""

    default_code = "invalid"

    def __init__(
        self, text: str, *, findings: tuple[Finding, ...] = (), code: str = "", hint: str = ""
    ) -> None:
        super().__init__(text, code=code, hint=hint)
        self.findings = findings


class NotFound(Refused):
    default_code = "not_found"


class Conflict(Refused):
    default_code = "conflict"


class Forbidden(Refused):
    default_code = "forbidden"


class QuotaExceeded(Refused):
    default_code = "quota_exceeded"


class Unavailable(RuninkError):
    """The same call may work later."""

    default_code = "unavailable"


class NotLeader(Unavailable):
    default_code = "not_leader"


class Overloaded(Unavailable):
    default_code = "overloaded"


class TimedOut(Unavailable):
    default_code = "timed_out"


class LinkLost(Unavailable):
    default_code = "link_lost"


class OutcomeUnknown(Unavailable):
    """It may have happened. Only a call with an idempotency key may be repeated."""

    default_code = "outcome_unknown"


class Broken(RuninkError):
    """A bug or damage: the owner crashes and its supervisor decides."""

    default_code = "broken"


class WalCorrupt(Broken):
    default_code = "wal_corrupt"


class InvariantBroken(Broken):
    default_code = "invariant_broken"


class ProtocolViolation(Broken):
    default_code = "protocol_violation"


class WireError(msgspec.Struct, frozen=True):
    """An error as it crosses a process boundary. What has no revision leaves it out, so that an older process reads it, too."""

    kind: str
    code: str
    text: str
    hint: str = ""
    findings: tuple[Finding, ...] = ()
    revision: int | msgspec.UnsetType = msgspec.UNSET


def _kinds(root: type[RuninkError]) -> dict[str, type[RuninkError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _kinds(child)
    return found


def to_wire(error: RuninkError) -> WireError:
    """Return the error as a value that another process can read: its kind is the nearest one drawn above, which every process knows."""
    findings = error.findings[:FINDINGS_SHOWN_MAX] if isinstance(error, Invalid) else ()
    revision = error.revision if isinstance(error, Refused) else 0
    kind = next(one for one in type(error).__mro__ if one.__module__ == __name__)
    return WireError(
        kind.__name__,
        error.code,
        encodable(error.text),
        encodable(error.hint),
        findings,
        revision or msgspec.UNSET,
    )


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold: names of files and what a library raises may bear lone surrogates, and then nothing could be told."""
    return text.encode(errors="backslashreplace").decode()


def from_wire(wire: WireError) -> RuninkError:
    """Return the error that `wire` stands for; an unknown kind (a newer peer) becomes the root of the tree."""
    kind = _kinds(RuninkError).get(wire.kind, RuninkError)
    if issubclass(kind, Invalid):
        return kind(wire.text, findings=wire.findings, code=wire.code, hint=wire.hint)
    if issubclass(kind, Refused):
        return kind(wire.text, code=wire.code, hint=wire.hint, revision=wire.revision or 0)
    return kind(wire.text, code=wire.code, hint=wire.hint)
