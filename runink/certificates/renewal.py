"""The record of a node's certificates: how it joins, renews, is admitted, is locked, and comes back.

A node has one certificate, and for a while the one before it.  What is not in the record is not admitted, so there is no list of revoked ones that grows.

    GENERATION counts a node's certificates.  Each renewal needs a key that is new: so who renews twice from one certificate has copied it.

    who renews shows                                    and asks with       answer of `renew`
    the current certificate                             a new key           Issue of the next generation
    the current certificate                             its own key         Denied `same_key`
    the one before it                                   the current key     Issued: the answer was lost, it is given again
    an older one of this joining, or the one before     another key         Cloned: the node is locked
    anything else                                       -                   Denied, as for `why_refused`

    standing   admitted                   renews   left by
    good       by current, and previous   yes      `locked` (a clone), `revoked` (a person)
    locked     no                         no       `rejoined` (a person has a token minted for it)
    revoked    no                         no       `rejoined`

Who rejoins goes on counting where it was; certificates from before (`since_generation`) are strangers then and lock nobody, because whoever was cut off still has them.
The first to use a copy may be its thief or the node itself: nobody can tell, so both are cut off.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final

import msgspec

from runink.certificates.denials import Denied
from runink.certificates.join_tokens import Accepted
from runink.certificates.names import GENERATION_MAX, CertifiedNode, identity_of
from runink.certificates.roles import Fingerprint, NodeRole, Serial
from runink.names import HerdName, NodeId

HALF: Final = 0.5  # of its lifetime, when a certificate is renewed
SPREAD: Final = 0.1  # of its lifetime, by which nodes that joined together part
RETRY_PART: Final = 0.05  # of what is left of it, until a renewal that failed is tried again
RETRY_S_MIN: Final = 5
RETRY_S_MAX: Final = 600
REASON_CHARACTERS_MAX: Final = 1000

REJOIN: Final = "if it is yours, let it in anew: runi node rejoin {name}"


class Standing(StrEnum):
    GOOD = "good"
    LOCKED = "locked"
    REVOKED = "revoked"


class NodeCertificate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the cluster knows of a node's certificate. Times are seconds of the Unix epoch.

    `certificate` is its DER, to be given again to who has not got it.  The one before it is admitted until `previous_until_s`.
    `labels` and `herds` are what the node may say of itself at the most, as its join token said; empty for no limit.
    `since_s` is when it came to stand as it does, `reason` why if that is not good.
    """

    role: NodeRole
    name: NodeId
    generation: int
    key: Fingerprint
    serial: Serial
    authority: Fingerprint
    not_after_s: int
    certificate: bytes
    labels: tuple[str, ...] = ()
    herds: tuple[HerdName, ...] = ()
    since_generation: int = 1
    previous_serial: Serial = Serial("")
    previous_until_s: int = 0
    standing: Standing = Standing.GOOD
    reason: str = ""
    since_s: int = 0


class Issue(msgspec.Struct, frozen=True):
    """A certificate of this generation is to be issued; `recorded` takes it into the record."""

    generation: int


class Issued(msgspec.Struct, frozen=True):
    """A certificate was issued for the same request: it is given again."""

    certificate: bytes


class Cloned(msgspec.Struct, frozen=True):
    """Two have the key of one node. `record` is to be written: it is locked; `denied` goes to who asks, and to the audit trail."""

    record: NodeCertificate
    denied: Denied


def why_refused(
    record: NodeCertificate | None, shown: CertifiedNode, *, now_s: int
) -> Denied | None:
    """Say why somebody with this certificate is not admitted, or nothing if it is. Asked at hello, and of everyone who is there whenever the record changes."""
    if record is None or (record.role, record.name) != (shown.role, shown.name):
        text = f"{shown} is not known here"
        return Denied("node_unknown", text, "it has been removed, or its cluster was set up anew")
    if record.standing is not Standing.GOOD:
        text = f"{shown} is {record.standing.value}: {record.reason}"
        return Denied(f"node_{record.standing.value}", text, REJOIN.format(name=shown.name))
    if shown.generation > record.generation:
        return Denied(
            "node_ahead",
            f"{shown} shows certificate {shown.generation}, and only {record.generation} are known here: the cluster was set back",
            REJOIN.format(name=shown.name),
        )
    if _is_current(record, shown):
        until_s = record.not_after_s
    elif record.previous_serial and shown.serial == record.previous_serial:
        until_s = record.previous_until_s
    else:
        text = f"{shown} shows an old certificate, {shown.generation} of {record.generation}"
        return Denied("certificate_old", text, REJOIN.format(name=shown.name))
    if now_s >= min(until_s, shown.not_after_s):
        text = f"the certificate of {shown} has expired"
        return Denied("certificate_expired", text, REJOIN.format(name=shown.name))
    return None


def join(
    record: NodeCertificate | None, accepted: Accepted, key: Fingerprint
) -> Issue | Issued | Denied:
    """Decide what a join gets whose token was accepted. `record` is that of the name and role which it joins under; it and the token are written in one transaction."""
    if record is None and accepted.is_repeat:
        text = f"{accepted.token.role.value} {accepted.name} has joined with this token, and was removed since"
        return Denied("node_removed", text, "have another token minted (runi node token)")
    if record is None:
        return Issue(1)
    if accepted.is_repeat and record.key == key and record.standing is Standing.GOOD:
        return Issued(record.certificate)
    if accepted.token.rejoins and not accepted.is_repeat:
        return _next(record)
    return Denied(
        "node_exists",
        f"{record.role.value} {record.name} is a node of this cluster already",
        f"give it another name, or {REJOIN.format(name=record.name)}",
    )


def renew(
    record: NodeCertificate | None, shown: CertifiedNode, key: Fingerprint, *, now_s: int
) -> Issue | Issued | Cloned | Denied:
    """Decide what a node gets that shows this certificate and asks with this key. See the table above."""
    if record is not None and _is_clone(record, shown, key):
        reason = f"certificate {shown.generation} was renewed twice: somebody has a copy of its key"
        after = locked(record, reason, now_s=now_s)
        refused = why_refused(after, shown, now_s=now_s)
        assert refused is not None
        return Cloned(after, refused)
    refused = why_refused(record, shown, now_s=now_s)
    if refused is not None:
        return refused
    assert record is not None
    if not _is_current(record, shown):
        return Issued(record.certificate)
    if key == record.key:
        text = f"{shown} asks for a certificate with the key that it has"
        return Denied("same_key", text, "each certificate has a key of its own")
    return _next(record)


def recorded(
    before: NodeCertificate | None, certificate: bytes, accepted: Accepted | None, *, now_s: int
) -> NodeCertificate:
    """Return the record behind a certificate (DER) that was issued: for a join that was accepted, which begins anew, or else for a renewal. The first server joins with nothing before."""
    new = identity_of(certificate)
    assert before is None or new.generation == before.generation + 1
    record = NodeCertificate(
        role=new.role,
        name=new.name,
        generation=new.generation,
        key=new.key,
        serial=new.serial,
        authority=new.authority,
        not_after_s=new.not_after_s,
        certificate=certificate,
        since_generation=new.generation,
        since_s=now_s,
    )
    if accepted is not None:
        token = accepted.token
        return msgspec.structs.replace(record, labels=token.labels, herds=token.herds)
    if before is None:
        return record
    return msgspec.structs.replace(
        record,
        labels=before.labels,
        herds=before.herds,
        since_generation=before.since_generation,
        previous_serial=before.serial,
        previous_until_s=before.not_after_s,
    )


def why_beyond(
    record: NodeCertificate, *, labels: Collection[str], herds: Collection[HerdName]
) -> Denied | None:
    """Say what a node says of itself that its join token does not allow, or nothing. `herds` are those whose slices alone it takes, empty for all, as its settings have them."""
    strange = sorted(set(labels) - set(record.labels)) if record.labels else []
    if strange:
        return _beyond(record, f"label {strange[0]}", f"the labels {', '.join(record.labels)}")
    others = sorted(set(herds) - set(record.herds)) if record.herds else []
    if others or (record.herds and not herds):
        what = f"herd {others[0]}" if others else "slices of all herds"
        return _beyond(record, what, f"the herds {', '.join(record.herds)}")
    return None


def _beyond(record: NodeCertificate, what: str, allowed: str) -> Denied:
    return Denied(
        "node_beyond",
        f"{record.role.value} {record.name} offers {what}, and was let in for {allowed}",
        f"change what it offers, or let it in anew for more: runi node rejoin {record.name}",
    )


def locked(record: NodeCertificate, reason: str, *, now_s: int) -> NodeCertificate:
    """Return the record of a node of which there are two. One that a person has revoked stays that."""
    return _cut_off(record, Standing.LOCKED, reason, now_s)


def revoked(record: NodeCertificate, reason: str, *, now_s: int) -> NodeCertificate:
    """Return the record of a node that shall be one no more."""
    return _cut_off(record, Standing.REVOKED, reason, now_s)


def revoked_by_serial(
    record: NodeCertificate, serial: Serial, reason: str, *, now_s: int
) -> NodeCertificate | Denied:
    """Return the record without this certificate: with the current one the node is revoked, with the one before it the node goes on."""
    if serial == record.serial:
        return revoked(record, reason, now_s=now_s)
    if serial and serial == record.previous_serial:
        # Who still has it is a stranger from now on, and locks nobody by renewing it.
        return msgspec.structs.replace(
            record,
            previous_serial=Serial(""),
            previous_until_s=0,
            since_generation=record.generation,
        )
    text = (
        f"certificate {serial} counts no more for {record.role.value} {record.name}, or never did"
    )
    return Denied("certificate_unknown", text)


def may_be_forgotten(record: NodeCertificate, *, now_s: int) -> bool:
    """Say whether the record of a node that is none any more may be deleted: not while one of its certificates is good, or whoever has that could lock the next node of its name."""
    return record.standing is not Standing.GOOD and now_s >= record.not_after_s


def renew_at_s(shown: CertifiedNode, *, issued_s: int, jitter: float) -> int:
    """Return when to renew a certificate that came at `issued_s` by the node's clock: at half of its lifetime. `jitter`, 0 to 1, parts those that joined together."""
    assert 0 <= jitter <= 1
    span = max(shown.not_after_s - issued_s, 0)
    return issued_s + int(span * (HALF + SPREAD * (jitter - HALF)))


def retry_at_s(shown: CertifiedNode, *, now_s: int, jitter: float) -> int:
    """Return when to try a renewal again that has failed: the sooner, the less is left."""
    left_s = max(shown.not_after_s - now_s, 0)
    pause_s = min(max(left_s * RETRY_PART, RETRY_S_MIN), RETRY_S_MAX)
    return now_s + int(pause_s * (1 + jitter))


def _is_current(record: NodeCertificate, shown: CertifiedNode) -> bool:
    return (shown.generation, shown.serial) == (record.generation, record.serial)


def _is_clone(record: NodeCertificate, shown: CertifiedNode, key: Fingerprint) -> bool:
    """Say whether somebody renews what was renewed already, and not by who did."""
    is_same = (record.role, record.name) == (shown.role, shown.name)
    is_older = record.since_generation <= shown.generation < record.generation
    is_repeat = shown.serial == record.previous_serial and key == record.key
    return is_same and is_older and not is_repeat and record.standing is Standing.GOOD


def _next(record: NodeCertificate) -> Issue | Denied:
    if record.generation >= GENERATION_MAX:
        text = f"{record.name} has had all the certificates that a name can have"
        return Denied("generations_exhausted", text, "let it join under another name")
    return Issue(record.generation + 1)


def _cut_off(
    record: NodeCertificate, standing: Standing, reason: str, now_s: int
) -> NodeCertificate:
    if record.standing is Standing.REVOKED:
        return record
    return msgspec.structs.replace(
        record, standing=standing, reason=reason[:REASON_CHARACTERS_MAX], since_s=now_s
    )
