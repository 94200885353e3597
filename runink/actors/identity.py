"""The identity actor of a member: gives programs and slices tokens that the cluster signs, takes tokens back, and keeps the keys that sign.

What it decides on stands in the Barn.  It knows it by the member's board (`access_board.py`), which may be a moment behind; so what is written compares that it is not: the account, the key that
signs, and, where a person asks for a program's token, all roles and bindings.  Any member answers.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, assert_never

import anyio
from msgspec.structs import replace as changed

from runink.actors.access_board import AccessBoard, runs_at
from runink.actors.in_hand import InHand
from runink.actors.known_people import KnownPeople
from runink.actors.signing_keys import KeptKeys, Means
from runink.actors.taking_back import TakingBack
from runink.barn.keys import SIGNING, TOKENS, herd_key
from runink.clients.access import if_rights
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.identity_requests import (
    ClientToken,
    Fetch,
    Fetched,
    GiveBack,
    IdentityRequest,
    KeysOf,
    MintedToken,
    MintForSlice,
    MintToken,
    PublishedKeys,
    RevokeAccount,
    RevokeKey,
    RevokeToken,
    RotateKeys,
    SigningFacts,
    SigningKeysOf,
    SignOut,
)
from runink.clients.turns import in_turns
from runink.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Refused,
    Unavailable,
)
from runink.identity.access import AccessIndex
from runink.identity.accounts import ServiceAccount, client_of, secret_shown
from runink.identity.failed_tries import FailedTries
from runink.identity.granting import check_may_speak_for
from runink.identity.issued import OWN, TOKENS_MAX, IssuedToken
from runink.identity.signing import (
    SERVICE_ACCOUNT_LIFETIME_S_MAX,
    SLICE_LIFETIME_S_MAX,
    ServiceAccountToken,
    SliceToken,
    mint,
)
from runink.loops import now_s as loop_s
from runink.names import run_id
from runink.runtime.actor import Actor, Context, Later

IN_HAND_MAX: Final = 64
KEEP_EVERY_S: Final = (
    30.0  # until it is looked at what has become due: a key takes over that much late
)
AGAIN_S: Final = 1.0
BEHIND_S: Final = 2.0  # what the board may take to be told of what was written
ID_ENTROPY_BYTES: Final = 10
FETCH_S_MAX: Final = 30.0  # of one answer of a provider

_log = logging.getLogger(__name__)


class Identity(Actor[IdentityRequest]):
    """One for a member. `jitter` returns a number from 0 to 1: members that begin together do not do what is due together. `rights` reads roles and bindings; without it those that the board knows are meant.

    `people` are those whose providers it asks in the name of members that do not reach them; without it it asks none.
    """

    def __init__(
        self,
        barn: BarnClient,
        board: AccessBoard,
        means: Means,
        *,
        jitter: Callable[[], float],
        rights: Callable[[], Awaitable[AccessIndex]] | None = None,
        people: KnownPeople | None = None,
    ) -> None:
        self._barn = barn
        self._board = board
        self._means = means
        self._jitter = jitter
        self._rights = rights
        self._people = people
        self._keys = KeptKeys(barn, board.facts, means)
        self._taking_back = TakingBack(barn, board, means)
        self._in_hand = InHand(IN_HAND_MAX, "too many tokens are asked for at once")
        self._tries = FailedTries()
        self._context: Context[IdentityRequest]

    async def started(self, context: Context[IdentityRequest]) -> None:
        self._context = context
        context.spawn(self._keep)

    async def receive(self, message: IdentityRequest) -> Later | PublishedKeys | SigningFacts:
        self._board.check_known()
        match message:
            case KeysOf():
                return PublishedKeys(self._board.issuer, self._board.issuer, self._keys.public())
            case SigningKeysOf():
                return self._keys.facts()
            case MintToken():
                return self._beside(partial(self._mint, message))
            case ClientToken():
                return self._beside(partial(self._mint_for_client, message))
            case MintForSlice():
                return self._beside(partial(self._mint_for_slice, message))
            case RevokeToken():
                return self._beside(partial(self._taking_back.token, message))
            case RevokeAccount():
                return self._beside(partial(self._taking_back.account, message))
            case SignOut():
                return self._beside(partial(self._taking_back.person, message))
            case GiveBack():
                return self._beside(partial(self._taking_back.own, message))
            case RotateKeys():
                return self._beside(self._announce)
            case RevokeKey():
                return self._beside(partial(self._revoke_key, message))
            case Fetch():
                return self._beside(partial(self._fetch, message))
            case _:
                assert_never(message)

    def _beside(self, work: Callable[[], Awaitable[object]]) -> Later:
        return self._in_hand.take(self._context, work)

    # Tokens of programs.

    async def _mint(self, message: MintToken) -> MintedToken:
        """Make a token for somebody who may speak for the account."""
        if not 0 < message.lifetime_s <= SERVICE_ACCOUNT_LIFETIME_S_MAX:
            most = SERVICE_ACCOUNT_LIFETIME_S_MAX // 60
            raise Invalid(f"a token is good for {most} minutes at most", code="bad_lifetime")

        async def turn() -> MintedToken | None:
            index = await self._rights() if self._rights is not None else self._board.index
            now_ms = self._means.now_ms()
            account = self._account(message.herd, message.account)
            until_ms = now_ms + message.lifetime_s * 1000
            check_may_speak_for(
                index,
                message.principal,
                account.value.client_id,
                until_ms=until_ms,
                now_ms=now_ms,
            )
            decided = if_rights(Transaction(), index)
            record = self._record(account.value, message.principal.subject, message.lifetime_s)
            record = changed(record, description=message.description)
            return await self._signed(account, record, decided)

        return await in_turns(f"account {message.herd}/{message.account}", turn)

    async def _mint_for_client(self, message: ClientToken) -> MintedToken:
        """Make a token for a program that shows a secret of its account."""
        who = message.client_id, message.address
        if self._tries.is_shut(who, loop_s()):
            raise QuotaExceeded(
                "too many secrets that are wrong were shown for this client",
                code="too_many_failures",
                hint="wait a minute, and show the right one",
            )

        async def turn() -> MintedToken | None:
            self._board.check_known()
            found = self._client(message.client_id)
            account = found.value if found is not None else None
            secret = secret_shown(account, message.secret, now_ms=self._means.now_ms())
            if found is None or secret is None:
                self._tries.note(who, loop_s())
                raise Refused(
                    "no client has this id and this secret",
                    code="invalid_client",
                    hint="client_id is HERD/NAME; runi account secret makes another secret",
                )
            herd = self._board.facts.herds.get(herd_key(found.value.herd))
            assert herd is not None
            decided = Transaction().if_revision(herd.key, herd.revision)
            lifetime_s = SERVICE_ACCOUNT_LIFETIME_S_MAX
            record = self._record(found.value, "", lifetime_s)
            record = changed(record, made_by=record.subject, secret=secret.id)
            return await self._signed(found, record, decided)

        return await in_turns("this account", turn)

    def _client(self, client_id: str) -> Found[ServiceAccount] | None:
        """Return the account of a herd that is there, if the id names one."""
        try:
            herd, name = client_of(client_id)
        except Invalid:
            return None
        if self._board.facts.herd(herd) is None:
            return None
        return self._board.facts.account(herd, name)

    def _account(self, herd: str, name: str) -> Found[ServiceAccount]:
        found = self._client(f"{herd}/{name}")
        if found is None:
            raise NotFound(f"there is no account {name} in this herd", code="no_such_account")
        if found.value.is_disabled:
            raise Conflict(f"account {name} is disabled", code="account_disabled")
        return found

    def _record(self, account: ServiceAccount, by: str, lifetime_s: int) -> IssuedToken:
        """Return what is kept of a token that is to be made. Raises QuotaExceeded (`too_many_tokens`)."""
        facts, now_s = self._board.facts, self._means.now_s()
        if facts.alive(account.herd, account.name, now_s) >= TOKENS_MAX:
            raise QuotaExceeded(
                f"{account.client_id} has {TOKENS_MAX} tokens that are good, and no account has more",
                code="too_many_tokens",
                hint="use a token until it expires, or take back those that are not used",
            )
        entropy = self._means.random_bytes(ID_ENTROPY_BYTES)
        record = IssuedToken(
            id=run_id(now_ms=self._means.now_ms(), entropy=entropy),
            herd=account.herd,
            account=account.name,
            made_by=by,
            made_s=now_s,
            until_s=now_s + lifetime_s,
            key=self._keys.signer().key.kid,
        )
        # What was taken back up to a second is all of that second: a token that is made in it begins with the next one.
        last_s = facts.revocations.last_s(OWN, record.subject)
        if record.made_s <= last_s:
            record = changed(record, made_s=last_s + 1, until_s=last_s + 1 + lifetime_s)
        return record

    async def _signed(
        self, account: Found[ServiceAccount], record: IssuedToken, decided: Transaction
    ) -> MintedToken | None:
        """Sign a token and write down that it is there; nothing if what it was decided on has changed meanwhile."""
        signer, known = self._keys.signer(), self._board.facts.revision
        token = ServiceAccountToken(
            issuer=self._board.issuer,
            audience=self._board.issuer,
            issued_s=record.made_s,
            expires_s=record.until_s,
            token_id=record.id,
            herd=record.herd,
            account=record.account,
        )
        text = mint(token, signer.key)
        transaction = (
            decided.if_revision(account.key, account.revision)
            .if_revision(SIGNING.key(signer.key.kid), signer.revision)
            .put(TOKENS.key(record.herd, record.id), changed(record, key=signer.key.kid))
        )
        if (await self._barn.commit(transaction)).succeeded:
            return MintedToken(text, record.id, record.made_s, record.until_s)
        await self._board.wait_past(known, within=BEHIND_S)
        return None

    # Tokens of slices.

    async def _mint_for_slice(self, message: MintForSlice) -> MintedToken:
        now_s = self._means.now_s()
        token = SliceToken(
            issuer=self._board.issuer,
            audience=self._board.issuer,
            issued_s=now_s,
            expires_s=now_s + SLICE_LIFETIME_S_MAX,
            token_id=run_id(
                now_ms=self._means.now_ms(), entropy=self._means.random_bytes(ID_ENTROPY_BYTES)
            ),
            herd=message.herd,
            run=message.run,
            slice=message.slice,
            attempt=message.attempt,
            node=message.node,
        )
        is_live = self._board.facts.herd(message.herd) is not None
        if not is_live or not await runs_at(self._barn, token):
            raise Forbidden(
                f"attempt {message.attempt} of slice {message.slice} does not run at {message.node}",
                code="no_such_attempt",
            )
        text = mint(token, self._keys.signer().key)
        return MintedToken(text, token.token_id, token.issued_s, token.expires_s)

    # Keys.

    async def _announce(self) -> SigningFacts:
        return await self._after(self._keys.announce())

    async def _revoke_key(self, message: RevokeKey) -> SigningFacts:
        return await self._after(self._keys.revoke(message.kid, message.by))

    async def _fetch(self, message: Fetch) -> Fetched:
        if self._people is None:
            raise NotFound("no provider is asked from here", code="issuer_unknown")
        within_s = min(message.within_s, FETCH_S_MAX)
        found = await self._people.fetch(message.issuer, message.url, within_s=within_s)
        return Fetched(found.status, found.body, found.content_type)

    async def _after(self, change: Awaitable[None]) -> SigningFacts:
        """Return what is known of the keys when the change has come here."""
        known = self._board.facts.revision
        await change
        await self._board.wait_past(known, within=BEHIND_S)
        return self._keys.facts()

    async def _keep(self) -> None:
        """Do what has become due, again and again: keys, and what has expired."""
        said = ""
        await self._board.wait_past(-1, within=float("inf"))
        while True:  # ends with the actor
            pause_s = KEEP_EVERY_S * (1 + self._jitter())
            try:
                self._board.check_known()
                await self._keys.keep()
                await self._taking_back.prune()
                said = ""
            except Refused as error:
                if error.text != said:
                    _log.warning("signing keys not kept", extra={"error": error.text})
                said = error.text
            except Unavailable:
                pause_s = AGAIN_S  # nobody leads yet, as when all members have just begun
            await anyio.sleep(pause_s)
