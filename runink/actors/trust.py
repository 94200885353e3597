"""The trust actor of a member: lets nodes in, gives them certificates, and takes them away.

What it decides with is `certificates/`; what it decides on stands in the Barn, compared and swapped, so any member answers: of two who come at once with one token, one joins.
The key of the authority lies in the Barn, sealed; each member opens it with the root key that lies beside its state, for as long as one certificate takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

import msgspec

from runink.actors.in_hand import InHand
from runink.actors.tables import Loaded, Seen, follow, load
from runink.actors.trust_board import BUNDLE_KEY, PREFIXES, TrustBoard
from runink.actors.trust_facts import facts_of, no_authority, node_of
from runink.actors.trust_rotation import Rotation, place_of, root_key_for
from runink.barn.history import Watched
from runink.barn.keys import AUTHORITY_KEYS, BOOTSTRAP, CERTIFICATES, JOINS, MEMBERS, TRUSTING
from runink.certificates.authority import (
    Authority,
    Grant,
    Requested,
    issue,
    load_authority,
    read_request,
)
from runink.certificates.denials import Denied
from runink.certificates.join_tokens import (
    ID_BYTES,
    SECRET_BYTES,
    JoinToken,
    Minting,
    mint,
    parse_word,
    redeem,
)
from runink.certificates.names import SERIAL_BYTES, identity_of, serial_of
from runink.certificates.renewal import (
    Cloned,
    Issue,
    Issued,
    NodeCertificate,
    join,
    recorded,
    renew,
    revoked,
)
from runink.certificates.roles import NodeRole
from runink.certificates.rotation import Authorities, NodeView, issuer, trusted_bundle
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.trust_requests import (
    Admission,
    AuthorityOf,
    Bundle,
    Join,
    Minted,
    MintJoin,
    NodeTrust,
    Renew,
    RevokeNode,
    Rotate,
    TrustFacts,
    TrustOf,
    TrustRequest,
    Trusts,
)
from runink.clients.turns import in_turns
from runink.errors import NotFound, Refused, Unavailable
from runink.identity.bootstrap import RECORD, Bootstrap
from runink.names import NodeId
from runink.root_key import line_of, signing_roots
from runink.runtime.actor import Actor, Context, Later
from runink.secrets.seal import RootKey, opened

IN_HAND_MAX: Final = 64  # joins and renewals at once; a signature takes half a millisecond

TrustMessage = TrustRequest | Loaded | Watched


class Founding(msgspec.Struct, frozen=True):
    """What the first member has made before there was a Barn: the authority with its sealed key, the certificates of who begins, its own first, and what is kept of the word that makes the first administrator."""

    authorities: Authorities
    sealed_key: bytes
    records: tuple[NodeCertificate, ...]
    bootstrap: Bootstrap | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What the actor is given from outside. `root_keys` are read anew each time, the one that seals last; `root_file` is their file for a member that joins."""

    now_s: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    root_keys: Callable[[], tuple[RootKey, ...]]
    root_file: Callable[[], bytes]


class TrustKeeper(Actor[TrustMessage]):
    """One for a member. `founding` is written once, if the Barn has no authority; then `founded` is called."""

    def __init__(
        self,
        barn: BarnClient,
        board: TrustBoard,
        means: Means,
        *,
        founding: Founding | None = None,
        founded: Callable[[], object] = lambda: None,
    ) -> None:
        self._barn = barn
        self._board = board
        self._means = means
        self._founding = founding
        self._founded = founded
        self._rotation = Rotation(
            barn,
            now_s=means.now_s,
            random_bytes=means.random_bytes,
            root_keys=means.root_keys,
        )
        self._in_hand = InHand(IN_HAND_MAX, "too many nodes join and renew at once")
        self._context: Context[TrustMessage]

    async def started(self, context: Context[TrustMessage]) -> None:
        self._context = context
        context.spawn(self._follow)

    async def receive(self, message: TrustMessage) -> Bundle | Later | None:
        match message:
            case Loaded(items):
                self._board.load(items)
            case Watched(changes):
                self._board.apply(changes)
            case Trusts():
                self._context.spawn(partial(self._note, message))
            case AuthorityOf():
                return bundle_of(self._authorities().value)
            case Join():
                return self._beside(partial(self._join, message))
            case Renew():
                return self._beside(partial(self._renew, message))
            case MintJoin():
                return self._beside(partial(self._mint, message))
            case RevokeNode():
                return self._beside(partial(self._revoke, message))
            case TrustOf():
                return self._beside(self._facts_of)
            case Rotate():
                return self._beside(partial(self._rotate, message))
            case _:
                assert_never(message)
        return None

    def _beside(self, work: Callable[[], Awaitable[object]]) -> Later:
        return self._in_hand.take(self._context, work)

    async def _follow(self) -> None:
        if self._founding is not None:
            await self._found(self._founding)
        await follow(self._barn, PREFIXES, self._tell)

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

    async def _found(self, founding: Founding) -> None:
        """Write what the cluster begins with, unless it has begun. The Barn's client waits for a leader by itself, and longer than that we begin again."""
        transaction = (
            Transaction()
            .if_absent(BUNDLE_KEY)
            .put(BUNDLE_KEY, founding.authorities)
            .put(AUTHORITY_KEYS.key(founding.authorities.current.fingerprint), founding.sealed_key)
        )
        for one in founding.records:
            transaction = transaction.put(CERTIFICATES.key(one.role.value, one.name), one)
        if founding.bootstrap is not None:
            transaction = transaction.put(BOOTSTRAP.key(RECORD), founding.bootstrap)
        await self._barn.commit(transaction)  # one that fails says that it has begun
        self._founded()

    def _authorities(self) -> Found[Authorities]:
        found = self._board.authorities
        if found is None:
            raise no_authority()
        return found

    # Joining and renewing.

    async def _join(self, message: Join) -> Admission:
        word, request = parse_word(message.word), read_request(message.request)
        key = JOINS.key(word.id)

        async def turn() -> Admission | None:
            found = await self._barn.get(key, JoinToken)
            now_s = self._means.now_s()
            accepted = redeem(
                found.value if found else None,
                word,
                request.fingerprint,
                wanted=message.name,
                now_s=now_s,
            )
            if isinstance(accepted, Denied):
                raise accepted.error()
            assert found is not None, "what is unknown is denied"
            node = CERTIFICATES.key(accepted.token.role.value, accepted.name)
            before = await self._barn.get(node, NodeCertificate)
            answer = join(before.value if before else None, accepted, request.fingerprint)
            transaction = Transaction().if_revision(key, found.revision).put(key, accepted.token)
            match answer:
                case Denied():
                    raise answer.error()
                case Issued(certificate):
                    return await self._admission(certificate, accepted.token.role)
                case Issue(generation):
                    grant = self._grant(accepted.token.role, accepted.name, generation)
            certificate = await self._issued(request, grant)
            known = before.value if before else None
            record = recorded(known, certificate, accepted, now_s=now_s)
            whole = _compared(transaction, node, before).put(node, record)
            if not (await self._barn.commit(whole)).succeeded:
                return None
            return await self._admission(certificate, accepted.token.role)

        return await in_turns(f"join token {word.id}", turn)

    async def _renew(self, message: Renew) -> Admission:
        request, shown = read_request(message.request), identity_of(message.certificate)
        node = CERTIFICATES.key(shown.role.value, shown.name)

        async def turn() -> Admission | None:
            before = await self._barn.get(node, NodeCertificate)
            now_s = self._means.now_s()
            known = before.value if before else None
            answer = renew(known, shown, request.fingerprint, now_s=now_s)
            match answer:
                case Denied():
                    raise answer.error()
                case Issued(certificate):
                    return await self._admission(certificate, shown.role)
                case Cloned(record, denied):
                    if await self._swapped(node, before, record):
                        raise denied.error()
                    return None
                case Issue(generation):
                    grant = self._grant(shown.role, shown.name, generation)
            certificate = await self._issued(request, grant)
            record = recorded(known, certificate, None, now_s=now_s)
            if not await self._swapped(node, before, record):
                return None
            return await self._admission(certificate, shown.role)

        return await in_turns(f"the certificate of {shown}", turn)

    def _grant(self, role: NodeRole, name: NodeId, generation: int) -> Grant:
        serial = serial_of(self._means.random_bytes(SERIAL_BYTES))
        return Grant(role=role, name=name, generation=generation, serial=serial)

    async def _issued(self, request: Requested, grant: Grant) -> bytes:
        """Return a certificate of the authority that issues now. Raises Refused where its key does not open."""
        authority = await self._issuer()
        return issue(authority, request, grant, now_s=self._means.now_s())

    async def _issuer(self) -> Authority:
        now = issuer(self._authorities().value)
        found = await self._barn.get(AUTHORITY_KEYS.key(now.fingerprint), bytes)
        if found is None:
            raise Refused("the key of the cluster's authority is not in the Barn", code="no_authority_key")  # fmt: skip
        root = root_key_for(self._means.root_keys(), found.value)
        return load_authority(now.pem, opened(root, place_of(now.fingerprint), found.value))

    async def _admission(self, certificate: bytes, role: NodeRole) -> Admission:
        bundle = bundle_of(self._authorities().value)
        if role is NodeRole.IDENTITY:  # it signs tokens, and opens nothing else
            roots = signing_roots(self._means.root_keys())
            return Admission(certificate, bundle, b"".join(map(line_of, roots)))
        if role is not NodeRole.SERVER:
            return Admission(certificate, bundle)
        listing = await self._barn.range(MEMBERS.prefix(), str)
        members = {one.key.removeprefix(MEMBERS.prefix()): one.value for one in listing.items}
        return Admission(certificate, bundle, self._means.root_file(), members)

    async def _swapped(
        self, key: str, before: Found[NodeCertificate] | None, record: NodeCertificate
    ) -> bool:
        transaction = _compared(Transaction(), key, before).put(key, record)
        return (await self._barn.commit(transaction)).succeeded

    # What operators ask.

    async def _mint(self, message: MintJoin) -> Minted:
        authorities = self._authorities().value
        if message.rejoins and self._board.record(message.role, NodeId(message.name)) is None:
            raise no_such_node(message.role, message.name)
        asked = Minting(
            role=message.role,
            minted_by=message.by,
            name=message.name,
            labels=message.labels,
            herds=message.herds,
            rejoins=message.rejoins,
            lifetime_s=message.lifetime_s,
        )
        entropy = self._means.random_bytes(ID_BYTES + SECRET_BYTES)
        word, token = mint(
            asked, issuer(authorities).fingerprint, now_s=self._means.now_s(), entropy=entropy
        )
        await self._barn.put(JOINS.key(token.id), token)
        return Minted(str(word), token.id, token.until_s)

    async def _revoke(self, message: RevokeNode) -> NodeTrust:
        node = CERTIFICATES.key(message.role.value, message.name)

        async def turn() -> NodeTrust | None:
            before = await self._barn.get(node, NodeCertificate)
            if before is None:
                raise no_such_node(message.role, message.name)
            record = revoked(before.value, message.reason, now_s=self._means.now_s())
            is_done = await self._swapped(node, before, record)
            return node_of(self._board, record) if is_done else None

        return await in_turns(f"node {message.name}", turn)

    async def _rotate(self, message: Rotate) -> TrustFacts:
        await self._rotation.step(message)
        return await self._facts_of()

    async def _facts_of(self) -> TrustFacts:
        """Return what is known of authorities and nodes; read anew, because the board may be a moment behind."""
        found = await load(self._barn, PREFIXES)
        board = TrustBoard()
        board.load(found.items)
        if board.authorities is None:
            raise no_authority()
        return facts_of(board, now_s=self._means.now_s())

    async def _note(self, message: Trusts) -> None:
        """Keep what a node says of itself, where that is new. What fails is told again."""
        key = TRUSTING.key(message.role.value, message.name)
        view = NodeView(message.name, message.revision, message.authority, message.not_after_s)
        record = self._board.record(message.role, message.name)
        if record is None or self._board.view(record.value) == view:
            return
        with suppress(Unavailable):
            await self._barn.put(key, view)


def _compared(
    transaction: Transaction, key: str, before: Found[NodeCertificate] | None
) -> Transaction:
    if before is None:
        return transaction.if_absent(key)
    return transaction.if_revision(key, before.revision)


def bundle_of(authorities: Authorities) -> Bundle:
    """Return whom the cluster's nodes trust, as they are told."""
    now = issuer(authorities)
    return Bundle(now.cluster, trusted_bundle(authorities), authorities.revision, now.fingerprint)


def no_such_node(role: NodeRole, name: str) -> NotFound:
    return NotFound(
        f"no {role.value} {name} has ever joined",
        code="no_such_node",
        hint="runi node trust lists who has",
    )
