"""Operations on service accounts, carried out. An account is one record with its secrets; who changes it compares that nobody has meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace as changed

from runink.barn.keys import ACCOUNTS, REVOCATIONS
from runink.clients.barn import Found, Transaction
from runink.clients.herds import get_herd, if_herd
from runink.clients.turns import in_turns
from runink.errors import Conflict, NotFound
from runink.herds.admission import check_open
from runink.identity.accounts import (
    ACCOUNTS_MAX,
    ID_BYTES,
    SECRET_BYTES,
    SecretWord,
    ServiceAccount,
    with_new_secret,
    without_secret,
)
from runink.identity.granting import check_may_speak_for
from runink.identity.issued import OWN, RevocationRecord, revocation_id
from runink.identity.revocations import SubjectRevoked
from runink.identity.vocabulary import Resource
from runink.names import AccountName, HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Condition, Context
from runink.operations.catalog import accounts
from runink.operations.catalog.accounts import (
    AccountDocument,
    CreateAccount,
    CreateSecret,
    ListAccounts,
    NewSecret,
    OfAccount,
    OfSecret,
    SecretSummary,
    UpdateAccount,
)
from runink.services.behind import Behind, check_may_make, principal_of, shown_in
from runink.services.pages import page_of_keys
from runink.services.rights import Asking, commit_decided, declared_of
from runink.services.service import Handlers

# What an account has had is good for an hour at most; members' clocks differ by less than the rest.
REVOKED_S: Final = 3600 + 600


class AccountService:
    """Keeps the programs of herds."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            accounts.LIST: self._list,
            accounts.GET: self._get,
            accounts.CREATE: self._create,
            accounts.UPDATE: self._update,
            accounts.DELETE: self._delete,
            accounts.CREATE_SECRET: self._create_secret,
            accounts.DELETE_SECRET: self._delete_secret,
        }

    async def _list(
        self, request: ListAccounts, caller: Caller, context: Context
    ) -> Items[AccountDocument]:
        shows = shown_in(self._behind, caller, Resource.SERVICE_ACCOUNTS, request.herd)

        def show(found: Found[ServiceAccount]) -> AccountDocument | None:
            return _document(found) if shows(found.value.name) else None

        return await page_of_keys(
            self._behind.barn,
            ACCOUNTS.prefix(request.herd),
            ServiceAccount,
            limit=request.limit,
            position=context.position,
            show=show,
        )

    async def _get(self, request: OfAccount, _caller: Caller, _context: Context) -> AccountDocument:
        return _document(await self._found(request))

    async def _create(
        self, request: CreateAccount, caller: Caller, context: Context
    ) -> AccountDocument:
        kind = Resource.SERVICE_ACCOUNTS
        check_may_make(self._behind, caller, kind, request.herd, request.account)
        barn, prefix = self._behind.barn, ACCOUNTS.prefix(request.herd)
        made = ServiceAccount(
            herd=HerdName(request.herd),
            name=AccountName(request.account),
            description=request.description,
            made_by=principal_of(caller).subject,
            made_ms=self._behind.now_ms(),
        )
        key = ACCOUNTS.key(made.herd, made.name)

        async def turn() -> Found[ServiceAccount] | None:
            herd = await get_herd(barn, made.herd)
            declared_of(herd.value)
            check_open(herd.value)
            there = await barn.range(prefix, ServiceAccount)
            known = next((one for one in there.items if one.key == key), None)
            if known is not None:
                is_same = changed(known.value, made_ms=made.made_ms) == made
                if is_same and context.may_have_made(known.value.made_ms):
                    return known
                text = f"there is an account {made.name} already"
                raise Conflict(text, code="exists", hint="update it")
            if len(there.items) >= ACCOUNTS_MAX:
                text = f"herd {made.herd} has {ACCOUNTS_MAX} accounts, and no herd has more"
                raise Conflict(text, code="too_many_accounts")
            compared = if_herd(Transaction(), made.herd, herd).if_unchanged(prefix, there.revision)
            committed = await barn.commit(compared.if_absent(key).put(key, made))
            if not committed.succeeded:
                return None
            return Found(key, made, committed.revision, 1, 0, committed.revision)

        return _document(await in_turns(f"the accounts of herd {made.herd}", turn))

    async def _update(
        self, request: UpdateAccount, _caller: Caller, context: Context
    ) -> AccountDocument:
        def change(before: ServiceAccount) -> ServiceAccount:
            return changed(before, description=request.description, is_disabled=request.disabled)

        return _document(await self._changed(request, context.condition, change))

    async def _delete(self, request: OfAccount, caller: Caller, context: Context) -> None:
        by = principal_of(caller).subject

        async def turn() -> bool | None:
            found = await self._found(request)
            assert context.condition is not None, "the operation wants one"
            context.condition.check(found.revision, what=f"account {request.account}")
            now_ms = self._behind.now_ms()
            now_s = now_ms // 1000
            # Who makes an account of this name in the same second gives it nothing of what this one has had.
            subject = f"service-account:{found.value.client_id}"
            revoked = SubjectRevoked(OWN, subject, now_s, now_s + REVOKED_S)
            transaction = (
                Transaction()
                .if_revision(found.key, found.revision)
                .delete(found.key)
                .put(REVOCATIONS.key(revocation_id(revoked)), RevocationRecord(revoked, by, now_ms))
            )
            return (await self._behind.barn.commit(transaction)).succeeded or None

        await in_turns(f"account {request.account}", turn)

    async def _create_secret(
        self, request: CreateSecret, caller: Caller, _context: Context
    ) -> NewSecret:
        kept: list[tuple[ServiceAccount, SecretWord]] = []

        async def decide(asking: Asking) -> Transaction:
            found = await self._found(request)
            until_ms = asking.now_ms + request.lifetime_ms
            check_may_speak_for(
                asking.rights,
                asking.principal,
                found.value.client_id,
                until_ms=until_ms,
                now_ms=asking.now_ms,
            )
            after = with_new_secret(
                found.value,
                entropy=self._behind.entropy(ID_BYTES + SECRET_BYTES),
                by=asking.principal.subject,
                now_ms=asking.now_ms,
                lifetime_ms=request.lifetime_ms,
            )
            kept[:] = [after]
            return Transaction().if_revision(found.key, found.revision).put(found.key, after[0])

        revision = await commit_decided(self._behind, caller, decide)
        account, word = kept[0]
        until_ms = account.secrets[-1].until_ms
        return NewSecret(word.id, account.client_id, str(word), until_ms, revision)

    async def _delete_secret(self, request: OfSecret, _caller: Caller, _context: Context) -> None:
        await self._changed(request, None, lambda before: without_secret(before, request.secret))

    async def _changed(
        self,
        request: OfAccount,
        condition: Condition | None,
        change: Callable[[ServiceAccount], ServiceAccount],
    ) -> Found[ServiceAccount]:
        """Have an account be as `change` says, and return it. Raises NotFound (`no_such_account`), Conflict (`precondition_failed`), and what `change` raises."""

        async def turn() -> Found[ServiceAccount] | None:
            found = await self._found(request)
            if condition is not None:
                condition.check(found.revision, what=f"account {request.account}")
            after = change(found.value)
            if after == found.value:
                return found
            compared = Transaction().if_revision(found.key, found.revision)
            committed = await self._behind.barn.commit(compared.put(found.key, after))
            if not committed.succeeded:
                return None
            return changed(found, value=after, revision=committed.revision)

        return await in_turns(f"account {request.account}", turn)

    async def _found(self, request: OfAccount) -> Found[ServiceAccount]:
        key = ACCOUNTS.key(request.herd, request.account)
        found = await self._behind.barn.get(key, ServiceAccount)
        if found is None:
            text = f"there is no account {request.account} in this herd"
            raise NotFound(text, code="no_such_account")
        return found


def _document(found: Found[ServiceAccount]) -> AccountDocument:
    account = found.value
    return AccountDocument(
        account=account.name,
        herd=account.herd,
        client_id=account.client_id,
        description=account.description,
        disabled=account.is_disabled,
        secrets=tuple(
            SecretSummary(one.id, one.last, one.made_by, one.made_ms, one.until_ms)
            for one in account.secrets
        ),
        made_by=account.made_by,
        made_ms=account.made_ms,
        revision=found.revision,
    )
