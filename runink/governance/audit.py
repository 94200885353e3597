"""The audit: who has done what, and what came of it. Values only; `services/auditing.py` writes them.

    outcome     means
    begun       it was begun, and nobody has come to say how it ended: the server was ended meanwhile, or it runs still
    done        it was carried out; of what only reads: it was answered
    refused     it was not carried out; `code` says why
    denied      it was not let in: who asked may not
    unknown     it may have been carried out

An entry says which operation it was and what that was about, by names; never what was in the request or the answer, where secrets may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from runink.errors import OutcomeUnknown, Refused, RuninkError, TimedOut, Unavailable
from runink.names import run_id

KEPT_MS: Final = 90 * 86_400_000  # where a herd says nothing of it
ENTRIES_MAX: Final = 10_000  # of a herd, and of the cluster: some megabytes of the Barn
_NO_ENTROPY: Final = bytes(10)


class Outcome(StrEnum):
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    DENIED = "denied"
    UNKNOWN = "unknown"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody did. `herd` is whose audit it is in, empty for the cluster's; `who` is their subject, empty where nobody was known; `token` the id of theirs; `what` are names by what they are of: herd, role, run, …

    `at_ms` is when it was begun, `ended_ms` when it had ended. `left_out` are denied calls of the same subject before this one that were too many to be written down.
    """

    id: str
    herd: str = ""
    at_ms: int
    who: str
    operation: str
    outcome: Outcome
    what: Mapping[str, str] = {}
    token: str = ""
    address: str = ""
    request_id: str = ""
    code: str = ""
    ended_ms: int = 0
    left_out: int = 0


def entry_id(now_ms: int, entropy: bytes) -> str:
    """Return the id of a new entry. Ids sort by time."""
    return run_id(now_ms=now_ms, entropy=entropy)


def first_id_of(moment_ms: int) -> str:
    """Return what sorts before the ids of all entries since a moment, and behind those before it."""
    return run_id(now_ms=max(moment_ms, 0), entropy=_NO_ENTROPY)


def outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """Return what became of a call that ended with this error, and its code."""
    if not isinstance(error, Exception):
        return Outcome.UNKNOWN, "cancelled"  # who asked has left, or the server is stopping
    code = error.code if isinstance(error, RuninkError) else "broken"
    if isinstance(error, OutcomeUnknown | TimedOut):
        return Outcome.UNKNOWN, code
    if isinstance(error, Refused | Unavailable):
        return Outcome.REFUSED, code
    return Outcome.UNKNOWN, code
