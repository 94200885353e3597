"""Codes of what can go wrong in a call, with the status of HTTP and the words that stand for each.

A code that a service raises and that is not in the table is told as well, with the status of its kind of error (`status_of`): an
operation that declares its errors may name only codes that are here, so that the document says them all.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from runink.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Refused,
    RuninkError,
    TimedOut,
    Unavailable,
)


class Said(NamedTuple):
    """How a code is told: the status, a title that is the same each time, and what the caller can do."""

    status: int
    title: str
    meaning: str


def _row(status: int, title: str, meaning: str) -> Said:
    return Said(status, title, meaning)


CODES: Final[dict[str, Said]] = {
    "bad_request": _row(400, "No request that can be read", "The request breaks HTTP, or says a thing twice that may be said once."),
    "unauthenticated": _row(401, "Not known who asks", "Send a valid token: `Authorization: Bearer TOKEN`."),
    "invalid_client": _row(401, "No client of this id and this secret", "`client_id` is HERD/NAME; make another secret if this one is lost."),
    "forbidden": _row(403, "Not allowed", "A role that allows it must be bound to you in this herd."),
    "own_version": _row(403, "It was published by you", "Have somebody else approve it who may: nobody approves what they have published."),
    "not_held": _row(403, "Nobody gives what they do not hold", "Somebody may who holds it, or who may `bind` or `escalate` that role."),
    "bootstrap_unknown": _row(403, "Not the word of this cluster", "It was printed once by `runi server --init`."),
    "bootstrap_expired": _row(403, "The word has expired", "Who has the machine of a member binds roles by its socket."),
    "bootstrap_used": _row(403, "The first administrator was made already", "An administrator binds roles to others."),
    "built_in_role": _row(403, "A built-in role stays as it is", "Write a role of another name."),
    "operators_only": _row(403, "Only an operator may say this", "Do it at the socket in the state folder of a machine of the control plane."),
    "foreign_origin": _row(403, "From a page of somebody else", "A browser sent this from a page that is not the console's."),
    "not_found": _row(404, "Not there", "It does not exist, or belongs to a herd that you cannot see."),
    "no_such_account": _row(404, "No such program", "The list of the herd's service accounts says which there are."),
    "no_such_secret": _row(404, "No such secret", "The program's document says which there are."),
    "no_token": _row(422, "No token was shown", "The operator at a member's socket shows none."),
    "no_such_token": _row(404, "No such token", "One that has expired is forgotten."),
    "no_such_key": _row(404, "No such signing key", "The list of signing keys says which there are."),
    "method_not_allowed": _row(405, "Not by this method", "The header Allow says which there are."),
    "body_too_slow": _row(408, "The body came too slowly", "Send it again, faster."),
    "conflict": _row(409, "It has changed since", "Read it again and decide anew."),
    "exists": _row(409, "It is there already", "Choose another name, or update what is there."),
    "bundle_in_use": _row(409, "The bundle is in use", "Delete the version that it belongs to, or take the pipeline out of force."),
    "upload_incomplete": _row(409, "Parts are missing", "Send the parts that `missing` names, and finish it again."),
    "uploads_full": _row(409, "Too much is being uploaded", "Finish or delete an upload of the herd."),
    "bundles_full": _row(409, "The herd has too many bundles", "Delete those that nothing needs."),
    "annotations_full": _row(409, "The herd has too many annotations", "Delete those that nobody needs."),
    "herd_exists": _row(409, "The herd is declared already", "Update it, or choose another name."),
    "herd_not_declared": _row(409, "Nobody has declared the herd", "Declare it first: it is as the projects say whose runs it has."),
    "herd_deleted": _row(409, "The herd is deleted", "Take the deletion back first, or wait until it is purged."),
    "account_disabled": _row(409, "The program is disabled", "Let it in again first."),
    "too_many_accounts": _row(409, "The herd has as many programs as may be", "Take one away that is used no more."),
    "too_many_secrets": _row(409, "The program has as many secrets as may be", "Take one back that is used no more."),
    "too_many_tokens": _row(409, "The program has as many tokens as may be", "Use one until it expires, or take back those that are not used."),
    "rotation_under_way": _row(409, "A new key is published already", "It signs ten minutes after it was made."),
    "herd_not_deleted": _row(409, "The herd is not deleted", "Delete it first."),
    "herd_in_use": _row(409, "Runs of the herd have not ended", "Wait for their end, or cancel them."),
    "herd_kept": _row(409, "The herd is kept until a time", "Wait, or purge it at once."),
    "herd_purging": _row(409, "The herd is being purged", "There is no way back; purge it again to end that."),
    "role_in_use": _row(409, "The role is bound", "Take its bindings away first."),
    "last_cluster_admin": _row(409, "Nobody would be cluster-admin any more", "Bind it to somebody else first, without an end."),
    "backfills_full": _row(409, "The pipeline has too many backfills", "Those that are done go with `runi clean`."),
    "hash_differs": _row(409, "Another content than the one that was looked at", "Look at what is published, and say its hash."),
    "too_many_words": _row(409, "Too many people have spoken", "Publish another version."),
    "version_taken": _row(409, "The version is published already", "A version never changes: give yours the next number."),
    "version_in_use": _row(409, "The version is in force", "Put another one in force first."),
    "herd_differs": _row(409, "The herd is declared otherwise", "Have the project's file of the herd say what is declared."),
    "slice_bounds": _row(409, "The herd does not take such slices", "Ask for resources within the herd's bounds."),
    "contract_incompatible": _row(409, "The herd does not take this change", "Make it compatible, or change what the herd asks for."),
    "in_flight": _row(409, "The same request is under way", "Ask again with the same key after the time in Retry-After."),
    "quota_exceeded": _row(409, "The herd's quota does not allow it", "Wait until something ends, or raise the quota."),
    "compacted": _row(410, "Older than what is kept", "List again, and go on from the revision of the list."),
    "precondition_failed": _row(412, "Not what If-Match says", "Read it again: its ETag is another one now."),
    "body_too_large": _row(413, "The body is too large", "Send less at once."),
    "unsupported_media_type": _row(415, "Not in this form", "Send application/json; charset=utf-8, not compressed."),
    "providers_invalid": _row(422, "The issuer has mistakes", "The findings say what and where."),
    "herd_invalid": _row(422, "The herd has mistakes", "The findings say what and where."),
    "refused": _row(422, "Refused", "The text says what to change."),
    "invalid": _row(422, "It has mistakes", "The findings say what and where."),
    "part_invalid": _row(422, "No part of this upload", "All parts have `part_bytes` bytes, and the last one what is left."),
    "upload_damaged": _row(422, "Not the archive that was said", "Begin anew, with the SHA-256 of the archive as it is."),
    "bundle_refused": _row(422, "The archive is not taken", "The text says which member is wrong; pack the project's own files."),
    "bundle_too_large": _row(422, "The archive is too large", "Keep data, libraries and built programs elsewhere."),
    "no_ticks": _row(422, "No tick there", "The hint names the next one."),
    "too_many_ticks": _row(422, "Too many ticks", "Take a shorter range."),
    "no_bundle": _row(404, "The herd has not brought this bundle", "Upload it first: another herd's is not there for you."),
    "pipeline_invalid": _row(422, "The pipeline's file has mistakes", "The findings say what and where."),
    "pipeline_differs": _row(422, "The file is another pipeline's", "Ask for the herd and the name that the file says."),
    "compile_failed": _row(422, "Nothing was made of the project", "Do its contracts' files end the process that reads them?"),
    "compile_too_long": _row(422, "The project takes too long to compile", "Have its contracts' files do nothing but say what they are."),
    "compile_too_large": _row(422, "The project takes too much room to compile", "Make several pipelines of it."),
    "cannot_compile": _row(422, "Nothing is compiled here", "Publish by `runi`, which compiles where it runs."),
    "contract_not_approved": _row(422, "A contract is not approved", "Have people who may approve contracts, and have not published it, approve the version: `contracts.versions.approve`."),
    "golden_required": _row(422, "The herd wants goldens", "Write @golden above a scenario, and bring its file in the archive."),
    "no_schedule": _row(422, "The pipeline is never due", "Write @schedule above Feature:."),
    "standard_io": _row(422, "It reads or writes a terminal", "Read and write files."),
    "drift_passes": _row(422, "The herd lets no drift through", "Say on_drift=fail or on_drift=deadletter at the contract."),
    "contract_differs": _row(422, "Another contract's name", "Ask for the name that it says."),
    "version_not_enough": _row(422, "The version goes up by too little", "The text says what the changes ask for."),
    "invalid_cursor": _row(422, "No cursor of this list", "Use what `next` of the page before said, with the same filters; or begin anew."),
    "key_reused": _row(422, "The key belongs to another request", "Take a new Idempotency-Key for each new request."),
    "precondition_required": _row(428, "If-Match is missing", "Send the ETag of what you have read: `If-Match: ETAG`."),
    "rate_limited": _row(429, "Too many requests", "Ask again after the time in Retry-After."),
    "too_many_failures": _row(429, "Too many tokens that are not valid", "Ask again after the time in Retry-After, with a valid token."),
    "too_many_streams": _row(429, "Too many streams at once", "Close one, or ask for more in one stream."),
    "broken": _row(500, "A bug or damage", "The server's log tells more under this request's id."),
    "unavailable": _row(503, "Not now", "Ask again after the time in Retry-After."),
    "not_let_go": _row(503, "Nodes have not yet let go of what runs keep", "Ask again after the time in Retry-After; if it stays so, look whether the nodes are there."),
    "overloaded": _row(503, "Too much at once", "Ask again after the time in Retry-After."),
    "stopping": _row(503, "The server is stopping", "Ask again after the time in Retry-After: another one answers."),
    "timed_out": _row(504, "It took too long", "Ask again; a change may have happened, so use an Idempotency-Key."),
    "outcome_unknown": _row(504, "It may have happened", "Ask again with the same Idempotency-Key, or look."),
}  # fmt: skip

# The nearest kind decides about a code that the table does not have.
_BY_KIND: Final[tuple[tuple[type[RuninkError], str], ...]] = (
    (Invalid, "invalid"),
    (NotFound, "not_found"),
    (Conflict, "conflict"),
    (Forbidden, "forbidden"),
    (QuotaExceeded, "quota_exceeded"),
    (Refused, "refused"),
    (TimedOut, "timed_out"),
    (Unavailable, "unavailable"),
)


def said_of(error: RuninkError) -> Said:
    """Return how an error is told."""
    known = CODES.get(error.code)
    if known is not None:
        return known
    kind = next((code for one, code in _BY_KIND if isinstance(error, one)), "broken")
    return CODES[kind]
