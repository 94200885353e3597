"""Operations on the first administrator and on signing keys, carried out."""

from __future__ import annotations

from runink.barn.keys import BINDINGS, BOOTSTRAP, OF_CLUSTER
from runink.clients.barn import Transaction
from runink.clients.identity_requests import (
    KeysOf,
    RevokeKey,
    RotateKeys,
    SigningFacts,
    SigningKeysOf,
)
from runink.clients.turns import in_turns
from runink.identity.bootstrap import RECORD, binding_of, redeem
from runink.identity.bootstrap import Bootstrap as Kept
from runink.operations.calls import Caller, Context
from runink.operations.catalog import identity
from runink.operations.catalog.identity import (
    Administrator,
    Bootstrap,
    KeySet,
    OfKey,
    ReadKeys,
    SigningKey,
    SigningKeys,
)
from runink.services.behind import Behind, principal_of
from runink.services.service import Handlers


class IdentityService:
    """Makes the first administrator; shows and changes the keys."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            identity.BOOTSTRAP: self._bootstrap,
            identity.PUBLISHED: self._published,
            identity.LIST: self._keys,
            identity.ROTATE: self._rotate,
            identity.REVOKE: self._revoke,
        }

    async def _bootstrap(
        self, request: Bootstrap, _caller: Caller, _context: Context
    ) -> Administrator:
        key = BOOTSTRAP.key(RECORD)

        async def turn() -> Administrator | None:
            found = await self._behind.barn.get(key, Kept)
            kept = found.value if found is not None else None
            now_s = self._behind.now_ms() // 1000
            after = redeem(kept, request.token, request.subject, now_s=now_s)
            assert found is not None, "what is not there is refused"
            binding = binding_of(after)
            said = Administrator(request.subject, binding.role, binding.name)
            if after == kept:
                return said
            transaction = (
                Transaction()
                .if_revision(key, found.revision)
                .put(key, after)
                .put(BINDINGS.key(OF_CLUSTER, binding.name), binding)
            )
            return said if (await self._behind.barn.commit(transaction)).succeeded else None

        return await in_turns("the first administrator", turn)

    async def _published(self, _request: ReadKeys, _caller: Caller, context: Context) -> KeySet:
        found = await self._behind.cluster.signing.ask(KeysOf(), within=context.within_s)
        return KeySet(found.keys, found.issuer)

    async def _keys(self, _request: ReadKeys, _caller: Caller, context: Context) -> SigningKeys:
        found = await self._behind.cluster.signing.ask(SigningKeysOf(), within=context.within_s)
        return _document(found)

    async def _rotate(self, _request: object, caller: Caller, context: Context) -> SigningKeys:
        asked = RotateKeys(principal_of(caller).subject)
        return _document(await self._behind.cluster.signing.ask(asked, within=context.within_s))

    async def _revoke(self, request: OfKey, caller: Caller, context: Context) -> SigningKeys:
        asked = RevokeKey(principal_of(caller).subject, request.key)
        return _document(await self._behind.cluster.signing.ask(asked, within=context.within_s))


def _document(facts: SigningFacts) -> SigningKeys:
    keys = (
        SigningKey(
            one.kid, one.state, one.made_s * 1000, one.signs_from_s * 1000, one.until_s * 1000
        )
        for one in facts.keys
    )
    return SigningKeys(tuple(keys), facts.revision)
