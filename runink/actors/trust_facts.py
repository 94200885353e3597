"""What people are told of the cluster's authorities and nodes."""

from __future__ import annotations

from runink.actors.trust_board import TrustBoard
from runink.certificates.renewal import NodeCertificate
from runink.certificates.rotation import Phase, Waiting, advance, issuer, trusted
from runink.clients.trust_requests import NodeTrust, TrustFacts
from runink.errors import Unavailable


def facts_of(board: TrustBoard, *, now_s: int) -> TrustFacts:
    """Return all of it. The board must know the authorities."""
    assert board.authorities is not None
    record = board.authorities.value
    now = issuer(record)
    others = [one for one in trusted(record) if one != now]
    return TrustFacts(
        cluster=now.cluster,
        phase=record.phase,
        revision=record.revision,
        issuer=now.fingerprint,
        authorities=tuple((one.fingerprint, one.not_after_s) for one in (now, *others)),
        nodes=tuple(node_of(board, one) for one in board.records()),
        waits_for=_waits_for(board, now_s=now_s),
    )


def node_of(board: TrustBoard, record: NodeCertificate) -> NodeTrust:
    """Return what is known of one node."""
    return NodeTrust(
        role=record.role,
        name=record.name,
        generation=record.generation,
        serial=record.serial,
        authority=record.authority,
        not_after_s=record.not_after_s,
        standing=record.standing,
        reason=record.reason,
        since_s=record.since_s,
        trusts=board.view(record).revision,
    )


def _waits_for(board: TrustBoard, *, now_s: int) -> str:
    assert board.authorities is not None
    record = board.authorities.value
    if record.phase is Phase.ONE:
        return ""
    after = advance(record, board.views(), now_s=now_s)
    return str(after) if isinstance(after, Waiting) else ""


def no_authority() -> Unavailable:
    """Return the error of who asks while the cluster has no authority, or this member does not know it yet."""
    return Unavailable("the cluster has no authority yet", code="no_authority", hint="try again")
