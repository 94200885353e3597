"""Revocations, written into the Barn, and taken out when they are of no use any more. Who has asked is told when this member knows it."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from msgspec.structs import replace as changed

from runink.actors.access_board import AccessBoard
from runink.actors.signing_keys import Means
from runink.barn.keys import ACCOUNTS, REVOCATIONS, TOKENS
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.identity_requests import (
    GiveBack,
    RevokeAccount,
    RevokedToken,
    RevokeToken,
    SignOut,
)
from runink.clients.turns import in_turns
from runink.errors import Invalid, NotFound, Unavailable
from runink.identity.accounts import ServiceAccount
from runink.identity.issued import (
    OWN,
    IssuedToken,
    RevocationRecord,
    TakenBack,
    issuer_of,
    revocation_id,
)
from runink.identity.revocations import SubjectRevoked, TokenRevoked
from runink.identity.signing import SERVICE_ACCOUNT_LIFETIME_S_MAX
from runink.identity.tokens import LEEWAY_S, LEEWAY_S_MAX, LIFETIME_S_MAX

KNOWN_S: Final = 2.0  # what the board may take to be told of what was written
PRUNED_MAX: Final = 200  # in a transaction; the rest comes with the next

# Tokens are taken for some time behind their end, and clocks differ.
OWN_S: Final = SERVICE_ACCOUNT_LIFETIME_S_MAX + 2 * LEEWAY_S
PEOPLES_S: Final = LIFETIME_S_MAX + 2 * LEEWAY_S_MAX


class TakingBack:
    """One for an identity actor."""

    def __init__(self, barn: BarnClient, board: AccessBoard, means: Means) -> None:
        self._barn = barn
        self._board = board
        self._means = means

    async def token(self, message: RevokeToken) -> RevokedToken:
        """Let nobody take a token any more. Raises NotFound (`no_such_token`)."""
        key = TOKENS.key(message.herd, message.id)

        async def turn() -> RevokedToken | None:
            found = await self._barn.get(key, IssuedToken)
            if found is None or found.value.account != message.account:
                raise NotFound(
                    f"account {message.account} has no such token",
                    code="no_such_token",
                    hint="one that has expired is forgotten",
                )
            if found.value.revoked is not None:
                return RevokedToken(found.value, found.revision)
            taken = TakenBack(message.by, self._means.now_ms())
            after = changed(found.value, revoked=taken)
            compared = Transaction().if_revision(key, found.revision)
            revision = await self._put(compared, key, after)
            return RevokedToken(after, revision) if revision else None

        return await in_turns("this token", turn)

    async def account(self, message: RevokeAccount) -> int:
        """Let nobody take what an account has had up to now, and return that second. Raises NotFound (`no_such_account`)."""
        key = ACCOUNTS.key(message.herd, message.account)
        found = await self._barn.get(key, ServiceAccount)
        if found is None:
            text = f"there is no account {message.account} in this herd"
            raise NotFound(text, code="no_such_account")
        subject = f"service-account:{found.value.client_id}"
        return await self._subject(OWN, subject, OWN_S, message.by)

    async def person(self, message: SignOut) -> int:
        """Let nobody take what a person has had up to now of a provider, and return that second."""
        subject = f"user:{message.issuer}:{message.subject}"
        return await self._subject(message.issuer, subject, PEOPLES_S, message.by)

    async def own(self, message: GiveBack) -> None:
        """Let nobody take the token any more that has proved a principal. Raises Invalid (`no_token`) for who has shown none."""
        one = message.principal
        if not (one.token or one.issued_s):
            raise Invalid("you have shown no token that could be taken back", code="no_token")
        issuer = issuer_of(one)
        if not one.token:
            # Nothing tells it from others of its subject but when it was made.
            await self._subject(issuer, one.subject, PEOPLES_S, one.subject, up_to_s=one.issued_s)
            return
        revoked = TokenRevoked(issuer, one.token, one.until_s + LEEWAY_S_MAX)
        key = REVOCATIONS.key(revocation_id(revoked))
        record = RevocationRecord(revoked, one.subject, self._means.now_ms())
        await self._put(Transaction(), key, record)

    async def prune(self) -> None:
        """Take out what has expired. Raises Unavailable."""
        facts, now_s = self._board.facts, self._means.now_s()
        transaction = Transaction()
        gone: list[Found[IssuedToken] | Found[RevocationRecord]] = [
            *(one for one in facts.tokens if one.value.until_s + LEEWAY_S <= now_s),
            *(one for one in facts.revoked if one.value.what.until_s <= now_s),
        ]
        for one in gone[:PRUNED_MAX]:
            transaction = transaction.if_revision(one.key, one.revision).delete(one.key)
        if gone:  # another member may have come first: then there is less the next time
            await self._barn.commit(transaction)

    async def _subject(
        self, issuer: str, subject: str, kept_s: int, by: str, *, up_to_s: int | None = None
    ) -> int:
        """Let nobody take what was made for a subject up to a second, now otherwise, and return it."""

        async def turn() -> int | None:
            now_s = self._means.now_s() if up_to_s is None else up_to_s
            revoked = SubjectRevoked(issuer, subject, now_s, now_s + kept_s)
            key = REVOCATIONS.key(revocation_id(revoked))
            before = await self._barn.get(key, RevocationRecord)
            compared = Transaction().if_absent(key)
            if before is not None:
                compared = Transaction().if_revision(key, before.revision)
                # A member's clock may be behind that of who has revoked before.
                known = before.value.what
                last_s = max(now_s, known.last_s if isinstance(known, SubjectRevoked) else 0)
                revoked = SubjectRevoked(
                    issuer, subject, last_s, max(now_s + kept_s, known.until_s)
                )
            record = RevocationRecord(revoked, by, self._means.now_ms())
            return revoked.last_s if await self._put(compared, key, record) else None

        return await in_turns(f"what {subject} has", turn)

    async def _put(
        self, compared: Transaction, key: str, value: IssuedToken | RevocationRecord
    ) -> int:
        """Write it if that is so, wait until this member knows it, and return the revision; 0 if it is not so."""
        committed = await self._barn.commit(compared.put(key, value))
        if not committed.succeeded:
            return 0
        with suppress(Unavailable):  # it is written; the board is told when it can be
            await self._board.wait_past(committed.revision - 1, within=KNOWN_S)
        return committed.revision
