"""What may be asked of a member about trust between nodes, and what it answers.

    request       of whom                                answer                             raises, beside the deadline
    AuthorityOf   everybody                              Bundle                             -
    Join          who has a join token                   Admission                          Forbidden (`join_token_…`, `node_exists`), Invalid
    Renew         a node, for itself                     Admission                          Forbidden (`node_…`, `certificate_…`, `same_key`)
    MintJoin      operators                              Minted                             Invalid, NotFound (`no_such_node`: of one that joins again)
    RevokeNode    operators                              NodeTrust                          NotFound (`no_such_node`)
    TrustOf       operators                              TrustFacts                         -
    Rotate        operators                              TrustFacts                         Forbidden, Conflict (`rotation_waits`)

A node tells with Trusts whom it trusts and what it shows.  Lost ones are told again: it says so whenever it connects.
Until it has founded its cluster a member answers all of it with Unavailable (`no_authority`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from runink.certificates.join_tokens import LIFETIME_S
from runink.certificates.renewal import Standing
from runink.certificates.roles import Fingerprint, NodeRole
from runink.certificates.rotation import Phase
from runink.names import HerdName, NodeId
from runink.runtime.actor import Request


class Bundle(msgspec.Struct, frozen=True):
    """Whom the cluster's nodes trust (PEM). `issuer` signs certificates now; a node whose certificate is of another authority renews it at once."""

    cluster: str
    pem: bytes
    revision: int
    issuer: Fingerprint


class Admission(msgspec.Struct, frozen=True, omit_defaults=True):
    """A certificate (DER) and whom to trust. A server is given what it needs beside: the root keys, as they stand in their file, and where the others listen; who signs tokens, what is derived from these for that."""

    certificate: bytes
    bundle: Bundle
    root_keys: bytes = b""
    members: dict[str, str] = {}  # by number

    def __repr__(self) -> str:
        return f"Admission({self.bundle.cluster!r})"  # it may hold the root key


class NodeTrust(msgspec.Struct, frozen=True):
    """A node as the cluster trusts it. `trusts` is the revision of the bundle that it has said to trust by, 0 for none; times are seconds of the Unix epoch."""

    role: NodeRole
    name: NodeId
    generation: int
    serial: str
    authority: Fingerprint
    not_after_s: int
    standing: Standing
    reason: str
    since_s: int
    trusts: int


class TrustFacts(msgspec.Struct, frozen=True):
    """The cluster's authorities, where their rotation stands and whom it waits for, and its nodes."""

    cluster: str
    phase: Phase
    revision: int
    issuer: Fingerprint
    authorities: tuple[tuple[Fingerprint, int], ...]  # with the end of each, the issuer's first
    nodes: tuple[NodeTrust, ...]
    waits_for: str = ""


class Minted(msgspec.Struct, frozen=True):
    """A join token, which is shown to nobody again, its id, and until when it is good."""

    word: str
    id: str
    until_s: int

    def __repr__(self) -> str:
        return f"Minted({self.id!r})"


class AuthorityOf(Request[Bundle], frozen=True):
    """Ask whom the cluster's nodes trust."""


class Join(Request[Admission], frozen=True):
    """Join with a token. `request` is a certificate request (PKCS #10, DER); `name` is the wanted name, empty for that of the token."""

    word: str
    request: bytes
    name: str = ""

    def __repr__(self) -> str:
        return f"Join(name={self.name!r})"


class Renew(Request[Admission], frozen=True):
    """Ask for the certificate after `certificate` (DER), the one that is shown on this connection."""

    certificate: bytes
    request: bytes


class MintJoin(Request[Minted], frozen=True):
    """Make a join token for one node; `rejoins` for one that the cluster knows already."""

    role: NodeRole
    by: str
    name: str = ""
    labels: tuple[str, ...] = ()
    herds: tuple[HerdName, ...] = ()
    rejoins: bool = False
    lifetime_s: int = LIFETIME_S


class RevokeNode(Request[NodeTrust], frozen=True):
    """Let a node be one no more, at once: what it has under way with members ends."""

    role: NodeRole
    name: NodeId
    reason: str = "it was revoked"


class TrustOf(Request[TrustFacts], frozen=True):
    """Ask for the cluster's authorities and nodes."""


class Step(StrEnum):
    BEGIN = "begin"
    ADVANCE = "advance"
    ABANDON = "abandon"


class Rotate(Request[TrustFacts], frozen=True):
    """Take a step towards another authority (`certificates/rotation.py`). `is_forced` goes on without those that have not come along, and cuts them off."""

    step: Step
    is_forced: bool = False


class Trusts(msgspec.Struct, frozen=True):
    """A node tells which revision of the bundle it trusts by, and what it shows."""

    role: NodeRole
    name: NodeId
    revision: int
    authority: Fingerprint
    not_after_s: int


TrustRequest = AuthorityOf | Join | Renew | MintJoin | RevokeNode | TrustOf | Rotate | Trusts
