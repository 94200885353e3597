"""What a node may send, by the role in its certificate.

    role       to                          messages
    server     everybody                   all that is served
    agent      barn                        reads, watches and proposals, of the keys below only
               runs                        that it lives, how far its own slices are, what they use
               trust                       a certificate in place of its own
               identity                    tokens of slices that run there
    identity   barn                        reads and watches of who may do what; proposals of tokens, revocations and signing keys
               trust                       as an agent
    client     barn, runs, governance,     all that people ask; nothing that only members or nodes say
               files, trust
               api                         all operations, as an operator

    keys       an agent reads              where it is to run what, runs and slices and what they are made of, herds, nodes, members
               an agent writes             its own node and placements, slices, bundles
               identity reads              herds, roles, bindings, accounts, tokens, issuers, its signing keys; runs and slices, whose tokens end with them
               identity writes             tokens, what is taken back, its signing keys

What an agent says of its own node must be what its join token allows: labels, and the herds that it takes.  So whoever takes a worker node over gives no rights, opens no sealed key, and speaks for no other
node.  What it writes of slices is not looked into: those of other nodes it could spoil.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

import msgspec

from runink.barn.commands import Command, Operation, Put, Txn
from runink.barn.keys import (
    ACCOUNTS,
    AUTHORITY,
    BINDINGS,
    BUNDLES,
    HEALTH,
    HERDS,
    ISSUERS,
    MEMBERS,
    NODES,
    PIPELINES,
    PLACEMENTS,
    REVOCATIONS,
    RIGHTS,
    ROLES,
    RUNS,
    SIGNING,
    SLICES,
    STANDINGS,
    TOKENS,
    node_key,
)
from runink.barn.keyvalue import Span, key_prefix
from runink.barn.rights import KeyRights
from runink.certificates.names import CertifiedNode
from runink.certificates.renewal import NodeCertificate, why_beyond
from runink.certificates.roles import NodeRole
from runink.clients import cluster
from runink.clients.barn_requests import Propose, Read, Select, WatchFrom
from runink.clients.identity_requests import MintForSlice
from runink.clients.node_files import FILES
from runink.clients.run_requests import NodeLives
from runink.clients.trust_requests import Renew, Trusts
from runink.errors import Forbidden
from runink.identity.principals import Principal, PrincipalKind
from runink.runs.records import NodeRecord
from runink.services.parties import Party
from runink.trust.programs import spoken

_WORKING_WITH_KEYS: Final = frozenset({"Read", "Select", "WatchFrom", "Propose", "Status"})
_CARRYING_ON: Final = frozenset({"Renew", "AuthorityOf", "Trusts"})
_JOINING: Final = frozenset({"AuthorityOf", "Join"})

MESSAGES: Final[Mapping[NodeRole, Mapping[str, frozenset[str]]]] = {
    NodeRole.AGENT: {
        cluster.BARN: _WORKING_WITH_KEYS,
        cluster.RUNS: frozenset({"NodeLives", "SliceProgress", "SliceUsed"}),
        cluster.TRUST: _CARRYING_ON,
        cluster.IDENTITY: frozenset({"MintForSlice"}),
    },
    NodeRole.IDENTITY: {cluster.BARN: _WORKING_WITH_KEYS, cluster.TRUST: _CARRYING_ON},
    NodeRole.CLIENT: {
        cluster.BARN: _WORKING_WITH_KEYS
        | {
            "Measure",
            "LeaseStatus",
            "Leases",
            "HashAt",
            "Backup",
            "Defrag",
            "ChangeMembers",
            "MoveLeader",
        },
        cluster.RUNS: frozenset({"Submit", "Cancel", "Pause", "Drop", "Follow"}),
        cluster.GOVERNANCE: frozenset({"LineageOf", "WhyOf", "ReplayOf"}),
        FILES: frozenset({"ReadFiles"}),
        cluster.TRUST: _CARRYING_ON | {"MintJoin", "RevokeNode", "TrustOf", "Rotate"},
        cluster.API: frozenset({"Call", "Next", "Leave"}),
    },
}


@dataclass(frozen=True, slots=True)
class NodeGuest:
    """A node at the other end of a link, with the `certificate` (DER) that it has shown and what the cluster knows of it, if that is known already.

    `messages` are None for one that may send all that is served, `keys` for one that may do all with keys. `party` is there for one that may call operations.
    """

    certified: CertifiedNode
    certificate: bytes
    record: NodeCertificate | None
    messages: Mapping[str, frozenset[str]] | None
    keys: KeyRights | None
    party: Party | None = None

    @property
    def is_node(self) -> bool:
        """Say whether it serves actors: commands do not."""
        return self.certified.role is not NodeRole.CLIENT

    def check(self, target: str, kind: str) -> None:
        """Raise Forbidden (`message_forbidden`)."""
        if self.messages is not None and kind not in self.messages.get(target, ()):
            raise Forbidden(
                f"{self.certified} may not send {kind} to {target}", code="message_forbidden"
            )

    def examine(self, target: str, message: Any) -> Any:
        """Return what is delivered. Raises Forbidden (`keys_forbidden`, `command_forbidden`, `other_node`, `node_beyond`)."""
        if self.keys is not None and target == cluster.BARN:
            check_keys(self.keys, message)
        match message:
            case Propose(command=command) if self.certified.role is NodeRole.AGENT:
                self._check_said(command)
            case NodeLives(node) if self.messages is not None and node != self.certified.name:
                raise self._other(node)
            case MintForSlice(node) if self.messages is not None and node != self.certified.name:
                raise self._other(node)
            case Renew(certificate=certificate) if certificate != self.certificate:
                raise self._other("another certificate")
            case Trusts(role, name) if (role, name) != (self.certified.role, self.certified.name):
                raise self._other(f"{role.value} {name}")
        return message if self.party is None else spoken(self.party, target, message)

    def _check_said(self, command: Command | Operation) -> None:
        """Raise Forbidden (`node_beyond`) for a record of this node that says more than it was let in for."""
        match command:
            case Put(key, value) if key == node_key(self.certified.name) and self.record:
                said = _node_record(value)
                denied = why_beyond(self.record, labels=said.labels, herds=said.herds)
                if denied is not None:
                    raise denied.error()
            case Txn(then=then, otherwise=otherwise):
                for part in (*then, *otherwise):
                    self._check_said(part)

    def _other(self, name: str) -> Forbidden:
        return Forbidden(f"{self.certified} does not speak for {name}", code="other_node")


def _node_record(value: bytes) -> NodeRecord:
    try:
        return msgspec.json.decode(value, type=NodeRecord)
    except msgspec.MsgspecError as error:
        raise Forbidden(f"this is no record of a node: {error}", code="node_beyond") from error


def guest_of(
    certified: CertifiedNode,
    certificate: bytes,
    record: NodeCertificate | None,
    *,
    address: str = "",
) -> NodeGuest:
    """Return what a node is to us that has proved who it is."""
    messages = MESSAGES.get(certified.role)
    party = None
    if certified.role is NodeRole.CLIENT:
        party = Party(Principal(PrincipalKind.OPERATOR, certified.name), address)
    return NodeGuest(certified, certificate, record, messages, _keys_of(certified), party)


class Stranger:
    """One who has shown nothing: it may ask for the authority, and join with a token."""

    is_node = False

    def check(self, target: str, kind: str) -> None:
        """Raise Forbidden (`no_certificate`) for anything else."""
        if target != cluster.TRUST or kind not in _JOINING:
            raise no_certificate()

    def examine(self, target: str, message: Any) -> Any:  # noqa: ARG002 - `check` has let only one through
        """Return it: the token in it is looked at by the trust actor."""
        return message


STRANGER: Final = Stranger()


def _keys_of(certified: CertifiedNode) -> KeyRights | None:
    match certified.role:
        case NodeRole.AGENT:
            return agent_keys(certified)
        case NodeRole.IDENTITY:
            kinds = HERDS, ROLES, BINDINGS, RIGHTS, ACCOUNTS, ISSUERS, AUTHORITY, MEMBERS
            of_slices = RUNS, SLICES  # whose tokens end with them
            return KeyRights(
                str(certified),
                reads=tuple(kind.prefix() for kind in (*kinds, *of_slices)),
                writes=tuple(kind.prefix() for kind in (TOKENS, REVOCATIONS, SIGNING)),
            )
        case NodeRole.SERVER | NodeRole.CLIENT:
            return None
        case _:
            assert_never(certified.role)


def agent_keys(certified: CertifiedNode) -> KeyRights:
    """Return what an agent may do with keys."""
    kinds = RUNS, HERDS, NODES, PIPELINES, BUNDLES, MEMBERS, HEALTH, STANDINGS, AUTHORITY
    return KeyRights(
        str(certified),
        reads=tuple(kind.prefix() for kind in kinds),
        writes=(
            node_key(certified.name),
            PLACEMENTS.prefix(certified.name),
            SLICES.prefix(),
        ),
        has_leases=True,
    )


def check_keys(rights: KeyRights, message: Any) -> None:
    """Raise Forbidden for a request to the Barn that reads or writes more than the rights say."""
    match message:
        case Read(spans):
            rights.check_reads(spans)
        case Select(queries):
            rights.check_reads(Span(query.start, query.end) for query in queries)
        case WatchFrom(prefixes=prefixes, spans=spans):
            rights.check_reads((*map(key_prefix, prefixes), *spans))
        case Propose(command=command):
            rights.check_command(command)


def no_certificate() -> Forbidden:
    """Return the error for one who shows no certificate."""
    return Forbidden(
        "without a certificate or a token nothing is answered but who asks to join",
        code="no_certificate",
        hint="a node: runi node token makes a token, runi agent --join TOKEN joins with it; a program shows its token in the hello",
    )
