"""The cluster's signing keys, kept in the Barn: the first one made, rotated by their time, revoked, and opened for who signs.

Any member does what is due; all of it is compared and swapped, so of two that do it at once one has done it.  The private half is sealed by the root key, which lies
beside the state of members and in no Barn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runink.actors.access_facts import AccessFacts
from runink.actors.trust_rotation import root_key_for
from runink.barn.keys import REVOCATIONS, SIGNING
from runink.clients.barn import BarnClient, Committed, Listing, Transaction
from runink.clients.identity_requests import SigningFacts, SigningKeyFacts
from runink.clients.turns import in_turns
from runink.errors import NotFound, Refused
from runink.identity.issued import OWN, RevocationRecord, revocation_id
from runink.identity.key_records import (
    Change,
    KeyState,
    SigningRecord,
    change_to,
    is_due,
    is_old,
    private_key,
    signing_keys,
)
from runink.identity.revocations import KeyRevoked
from runink.identity.rotation import RETIRES_AFTER_S, SigningKeys
from runink.identity.signing import SCALAR_BYTES, SigningKey
from runink.root_key import SIGNING as SIGNING_KIND
from runink.secrets.seal import NONCE_BYTES, Place, RootKey, opened, seal

_ORDER: Final = (KeyState.ACTIVE, KeyState.UPCOMING, KeyState.RETIRING)

Decide = Callable[[SigningKeys | None, tuple[SigningRecord, ...]], SigningKeys]


@dataclass(frozen=True, slots=True)
class Means:
    """What is given from outside: the wall clock, chance, and what the keys are sealed by (`root_key.signing_roots`), read anew each time, the one that seals last."""

    now_ms: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    root_keys: Callable[[], tuple[RootKey, ...]]

    def now_s(self) -> int:
        return self.now_ms() // 1000


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that signs now, and what its record must be at when what it has signed is written down."""

    key: SigningKey
    revision: int


class KeptKeys:
    """One for an identity actor. `facts` are what the Barn has told last."""

    def __init__(self, barn: BarnClient, facts: AccessFacts, means: Means) -> None:
        self._barn = barn
        self._facts = facts
        self._means = means
        self._opened: SigningKey | None = None  # opening takes a tenth of a millisecond

    def signer(self) -> Signer:
        """Return what signs. Raises Refused (`no_signing_key`; `seal_key`, `root_key` where the root key of this member does not open it)."""
        for found in self._facts.signing:
            if found.value.state is KeyState.ACTIVE:
                record = found.value
                if self._opened is None or self._opened.kid != record.kid:
                    self._opened = private_key(record, self._open(record))
                return Signer(self._opened, found.revision)
        raise Refused(
            "the cluster has no key yet to sign tokens with",
            code="no_signing_key",
            hint="a member makes one when it begins, with the root key of its state folder; a cluster without certificates (--secret) has none",
        )

    def facts(self) -> SigningFacts:
        """Return what there is, the one that signs first."""
        listed = sorted(self._facts.signing, key=lambda one: _ORDER.index(one.value.state))
        return SigningFacts(
            tuple(_told(one.value) for one in listed),
            max((one.revision for one in listed), default=0),
        )

    def public(self) -> tuple[dict[str, str], ...]:
        """Return the public halves, the one that signs first."""
        listed = sorted(self._facts.signing.values(), key=lambda one: _ORDER.index(one.state))
        return tuple(one.public for one in listed)

    async def keep(self) -> None:
        """Do what is due. Raises Refused where nothing can be sealed or opened here, Unavailable."""
        if is_due(self._facts.signing.values(), self._means.now_s()):
            await self._become(self._due)

    async def announce(self) -> None:
        """Publish a new key that takes over when it has been for long enough. Raises Conflict (`rotation_under_way`), and as `keep`."""

        def begun(keys: SigningKeys | None, _: tuple[SigningRecord, ...]) -> SigningKeys:
            return SigningKeys(self._fresh()) if keys is None else keys.announce(self._fresh(), self._means.now_s())  # fmt: skip

        await self._become(begun)

    async def revoke(self, kid: str, by: str) -> None:
        """Let nobody take what a key has signed; where it is the one that signs, a new one does, and one that was announced goes as well. Raises NotFound (`no_such_key`), Refused as `keep`.

        The key is not opened: one that is damaged can be revoked.
        """

        async def turn() -> Committed | None:
            listing = await self._barn.range(SIGNING.prefix(), SigningRecord)
            records = tuple(one.value for one in listing.items)
            target = next((one for one in records if one.kid == kid), None)
            if target is None:
                raise NotFound("there is no such signing key", code="no_such_key")
            now_ms = self._means.now_ms()
            revoked = KeyRevoked(OWN, kid, now_ms // 1000 + RETIRES_AFTER_S)
            transaction = self._compared(listing).put(
                REVOCATIONS.key(revocation_id(revoked)), RevocationRecord(revoked, by, now_ms)
            )
            change = Change((), (kid,))
            if target.state is KeyState.ACTIVE:
                gone = [one.kid for one in records if one.state is not KeyState.RETIRING]
                begun = change_to(SigningKeys(self._fresh()), (), self._seal, now_s=now_ms // 1000)
                change = Change(begun.written, tuple(gone))
            committed = await self._barn.commit(_with(transaction, change))
            return committed if committed.succeeded else None

        await in_turns("the signing keys", turn)

    def _due(self, keys: SigningKeys | None, records: tuple[SigningRecord, ...]) -> SigningKeys:
        now_s = self._means.now_s()
        if keys is None:
            return SigningKeys(self._fresh())
        after = keys.rotate(now_s)
        active = next(one for one in records if one.kid == keys.active.kid)
        if after == keys and keys.upcoming is None and is_old(active, now_s):
            return keys.announce(self._fresh(), now_s)
        return after

    async def _become(self, decide: Decide) -> None:
        async def turn() -> bool | None:
            listing = await self._barn.range(SIGNING.prefix(), SigningRecord)
            records = tuple(one.value for one in listing.items)
            after = decide(signing_keys(records, self._open), records)
            change = change_to(after, records, self._seal, now_s=self._means.now_s())
            if change.is_none:
                return True
            transaction = _with(self._compared(listing), change)
            return (await self._barn.commit(transaction)).succeeded or None

        await in_turns("the signing keys", turn)

    def _compared(self, listing: Listing[SigningRecord]) -> Transaction:
        """Return a transaction that is only done while the keys are as they were read."""
        transaction = Transaction().if_unchanged(SIGNING.prefix(), listing.revision)
        for one in listing.items:
            if one.value.state is KeyState.ACTIVE:
                transaction = transaction.if_revision(one.key, one.revision)
        return transaction

    def _fresh(self) -> SigningKey:
        return SigningKey.from_entropy(self._means.random_bytes(SCALAR_BYTES))

    def _seal(self, key: SigningKey) -> bytes:
        root = self._means.root_keys()[-1]
        nonce = self._means.random_bytes(NONCE_BYTES)
        return seal(root, place_of(key.kid), key.to_bytes(), nonce=nonce)

    def _open(self, record: SigningRecord) -> bytes:
        root = root_key_for(self._means.root_keys(), record.sealed)
        return opened(root, place_of(record.kid), record.sealed)


def place_of(kid: str) -> Place:
    """Return what a sealed signing key is bound to: it has one version."""
    return Place(SIGNING_KIND, (kid,), 1)


def _with(transaction: Transaction, change: Change) -> Transaction:
    for record in change.written:
        transaction = transaction.put(SIGNING.key(record.kid), record)
    for kid in change.deleted:
        transaction = transaction.delete(SIGNING.key(kid))
    return transaction


def _told(record: SigningRecord) -> SigningKeyFacts:
    return SigningKeyFacts(
        record.kid, record.state.value, record.made_s, record.signs_from_s, record.until_s
    )
