"""Another authority takes the place of the first, and nobody is cut off meanwhile.

    phase     trusted      issues     begun by     goes on when
    one       the only     it         -            somebody begins
    both      old, new     old        `begin`      all nodes have said that they trust both
    issuing   old, new     new        `advance`    all nodes have said that they show a certificate of the new one
    one       new          it         `advance`    -

A node counts as long as its certificate is good: whoever was away for longer has to join again in any case, so a rotation is never held up for more than a certificate's lifetime.
What they trust and show counts when they say it, not when it was sent to them: an answer that was lost has changed nothing.
To force a step cuts off whom `Waiting` names; they join again.  `abandon` goes back, as long as nothing was issued by the new one.

The whole of it is one record in the Barn, replaced by compare and swap, so whoever goes on after a crash goes on from there.  `revision` counts its changes: nodes say which one they have taken.
The key of the new authority is sealed and written in the transaction that begins, that of the old one deleted in the one that ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from runink.certificates.denials import Denied
from runink.certificates.pins import TrustedAuthority, bundle_of
from runink.certificates.roles import Fingerprint
from runink.names import NodeId

NAMES_TOLD_MAX: Final = 20  # of whom a step waits for; more are counted
WARNED_S: Final = 365 * 24 * 3600  # before an authority expires people are told to begin


class Phase(StrEnum):
    ONE = "one"
    BOTH = "both"
    ISSUING = "issuing"


class Authorities(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the nodes of a cluster trust. `current` is the old one during a rotation, `coming` the new one; `since_s` is when this phase began."""

    revision: int
    phase: Phase
    current: TrustedAuthority
    coming: TrustedAuthority | None = None
    since_s: int


class NodeView(msgspec.Struct, frozen=True):
    """What a node has said last: the revision that it trusts by, and the authority of the certificate that it shows.

    `not_after_s` is no word of its own, but until when the newest certificate is good that was issued to it: it may have that and not have said so.
    """

    name: NodeId
    revision: int
    authority: Fingerprint
    not_after_s: int


class Waiting(msgspec.Struct, frozen=True):
    """Nodes that have not come along yet, by name."""

    nodes: tuple[NodeId, ...]
    wants: str

    def __str__(self) -> str:
        told = ", ".join(self.nodes[:NAMES_TOLD_MAX])
        more = len(self.nodes) - NAMES_TOLD_MAX
        others = f" and {more} more" if more > 0 else ""
        return f"{told}{others} {self.wants}"


def founded(authority: TrustedAuthority, *, now_s: int) -> Authorities:
    """Return the record of a cluster with its first authority."""
    return Authorities(revision=1, phase=Phase.ONE, current=authority, since_s=now_s)


def trusted(record: Authorities) -> tuple[TrustedAuthority, ...]:
    """Return whom nodes trust now."""
    return (record.current,) if record.coming is None else (record.current, record.coming)


def trusted_bundle(record: Authorities) -> bytes:
    """Return whom nodes trust now, as they keep it."""
    return bundle_of(trusted(record))


def issuer(record: Authorities) -> TrustedAuthority:
    """Return who signs certificates now."""
    if record.phase is Phase.ISSUING:
        assert record.coming is not None
        return record.coming
    return record.current


def is_to_renew(record: Authorities, authority: Fingerprint) -> bool:
    """Say whether a node with a certificate of this authority renews it now, not at half of its lifetime."""
    return authority != issuer(record).fingerprint


def begin(record: Authorities, coming: TrustedAuthority, *, now_s: int) -> Authorities | Denied:
    """Return the record with a new authority, which all nodes are to trust beside the old one."""
    if record.phase is not Phase.ONE:
        text = f"another authority is on its way already, {_named(record)}"
        return Denied("rotation_under_way", text, "let it come to its end, or abandon it")
    if coming.fingerprint == record.current.fingerprint:
        return Denied("same_authority", "this is the authority that the cluster has")
    if coming.cluster != record.current.cluster:
        return Denied("other_cluster", f"this is an authority of {coming.cluster}")
    return _changed(record, Phase.BOTH, record.current, coming, now_s)


def advance(
    record: Authorities, nodes: Iterable[NodeView], *, now_s: int, is_forced: bool = False
) -> Authorities | Waiting | Denied:
    """Return the record in its next phase, or whom it waits for. The servers are among the nodes."""
    coming = record.coming
    if coming is None:
        return Denied("no_rotation", "no other authority is on its way", "begin with one")
    waiting = _behind(record, nodes, now_s)
    if waiting.nodes and not is_forced:
        return waiting
    if record.phase is Phase.BOTH:
        return _changed(record, Phase.ISSUING, record.current, coming, now_s)
    return _changed(record, Phase.ONE, coming, None, now_s)


def abandon(record: Authorities, *, now_s: int) -> Authorities | Denied:
    """Return the record without the new authority, which has issued nothing."""
    if record.phase is Phase.ONE:
        return Denied("no_rotation", "no other authority is on its way")
    if record.phase is Phase.ISSUING:
        return Denied(
            "rotation_issuing",
            f"{_named(record)} issues certificates already",
            "let it come to its end; then begin again, with another one",
        )
    return _changed(record, Phase.ONE, record.current, None, now_s)


def is_expiring(record: Authorities, *, now_s: int) -> bool:
    """Say whether it is time to begin with another authority."""
    return record.phase is Phase.ONE and now_s >= record.current.not_after_s - WARNED_S


def _behind(record: Authorities, nodes: Iterable[NodeView], now_s: int) -> Waiting:
    """Return who of the nodes with a good certificate has not come along with this phase."""
    good = [node for node in nodes if now_s < node.not_after_s]
    if record.phase is Phase.BOTH:
        late = [node.name for node in good if node.revision < record.revision]
        return Waiting(tuple(sorted(late)), "have not said that they trust the new authority")
    late = [node.name for node in good if node.authority != issuer(record).fingerprint]
    return Waiting(tuple(sorted(late)), "do not show a certificate of the new authority yet")


def _named(record: Authorities) -> str:
    assert record.coming is not None
    return f"{record.coming.fingerprint[:16]}"


def _changed(
    record: Authorities,
    phase: Phase,
    current: TrustedAuthority,
    coming: TrustedAuthority | None,
    now_s: int,
) -> Authorities:
    assert (coming is None) == (phase is Phase.ONE)
    return Authorities(
        revision=record.revision + 1, phase=phase, current=current, coming=coming, since_s=now_s
    )
