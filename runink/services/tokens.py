"""Operations on tokens, carried out by the identity actor: it has the keys, and writes down what it has signed."""

from __future__ import annotations

from base64 import b64decode
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from runink.barn.keys import REVOCATIONS, TOKENS
from runink.clients.barn import Found
from runink.clients.identity_requests import (
    ClientToken,
    GiveBack,
    RevokeAccount,
    RevokeToken,
)
from runink.clients.identity_requests import MintToken as Mint
from runink.clients.identity_requests import SignOut as SignPersonOut
from runink.errors import Invalid
from runink.identity.issued import OWN, IssuedToken, RevocationRecord
from runink.identity.revocations import Revocations
from runink.identity.vocabulary import Resource
from runink.names import AccountName, HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import tokens
from runink.operations.catalog.tokens import (
    GiveTokenBack,
    IssuedDocument,
    IssueToken,
    ListTokens,
    MintedDocument,
    MintToken,
    OfAccountsTokens,
    OfToken,
    SignedOut,
    SignOut,
    TokenDocument,
    TokenState,
)
from runink.services.behind import Behind, not_hidden, principal_of, shown_in
from runink.services.pages import page_of_keys
from runink.services.service import Handlers

FIELDS_MAX: Final = 10  # of a form: it has three, and some clients send a scope
_GRANT: Final = "client_credentials"
_PASSED_OVER: Final = frozenset({"scope"})  # roles say what a program may, and nothing else does


class TokenService:
    """Has tokens made, shown and taken back."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            tokens.MINT: self._mint,
            tokens.LIST: self._list,
            tokens.REVOKE: self._revoke,
            tokens.REVOKE_ALL: self._revoke_all,
            tokens.ISSUE: self._issue,
            tokens.SIGN_OUT: self._sign_out,
            tokens.GIVE_BACK: self._give_back,
        }

    async def _mint(self, request: MintToken, caller: Caller, context: Context) -> MintedDocument:
        asked = Mint(
            principal_of(caller),
            HerdName(request.herd),
            AccountName(request.account),
            request.lifetime_s,
            request.description,
        )
        made = await self._behind.cluster.signing.ask(asked, within=context.within_s)
        return MintedDocument(
            made.id, made.token, request.account, request.herd, made.expires_s * 1000
        )

    async def _list(
        self, request: ListTokens, caller: Caller, context: Context
    ) -> Items[TokenDocument]:
        shows = shown_in(self._behind, caller, Resource.TOKENS, request.herd)
        shows_account = not_hidden(self._behind, caller, Resource.SERVICE_ACCOUNTS, request.herd)
        revoked = await self._revoked()

        def show(found: Found[IssuedToken]) -> TokenDocument | None:
            account = found.value.account
            if request.account not in {"", account}:
                return None
            if not (shows(account) and shows_account(account)):
                return None
            return self._document(found.value, found.revision, revoked)

        return await page_of_keys(
            self._behind.barn,
            TOKENS.prefix(request.herd),
            IssuedToken,
            limit=request.limit,
            position=context.position,
            show=show,
        )

    async def _revoke(self, request: OfToken, caller: Caller, context: Context) -> TokenDocument:
        asked = RevokeToken(
            principal_of(caller).subject,
            HerdName(request.herd),
            AccountName(request.account),
            request.token,
        )
        told = await self._behind.cluster.signing.ask(asked, within=context.within_s)
        return self._document(told.token, told.revision, Revocations())

    async def _revoke_all(
        self, request: OfAccountsTokens, caller: Caller, context: Context
    ) -> SignedOut:
        by, herd = principal_of(caller).subject, HerdName(request.herd)
        asked = RevokeAccount(by, herd, AccountName(request.account))
        last_s = await self._behind.cluster.signing.ask(asked, within=context.within_s)
        return SignedOut(last_s * 1000)

    async def _issue(self, request: IssueToken, caller: Caller, context: Context) -> IssuedDocument:
        fields = _form(request.form, caller.basic)
        asked = ClientToken(fields["client_id"], fields["client_secret"], caller.address)
        made = await self._behind.cluster.signing.ask(asked, within=context.within_s)
        return IssuedDocument(made.token, "Bearer", made.expires_s - made.issued_s)

    async def _sign_out(self, request: SignOut, caller: Caller, context: Context) -> SignedOut:
        asked = SignPersonOut(principal_of(caller).subject, request.issuer, request.subject)
        last_s = await self._behind.cluster.signing.ask(asked, within=context.within_s)
        return SignedOut(last_s * 1000)

    async def _give_back(self, _request: GiveTokenBack, caller: Caller, context: Context) -> None:
        asked = GiveBack(principal_of(caller))
        await self._behind.cluster.signing.ask(asked, within=context.within_s)

    async def _revoked(self) -> Revocations:
        """Return what was taken back otherwise than token by token."""
        revocations = Revocations()
        listing = await self._behind.barn.range(REVOCATIONS.prefix(), RevocationRecord)
        for found in listing.items:
            revocations.add(found.value.what)
        return revocations

    def _document(self, token: IssuedToken, revision: int, revoked: Revocations) -> TokenDocument:
        state = TokenState.GOOD
        is_revoked = revoked.refusal(
            OWN,
            token_id=token.id,
            subject=token.subject,
            issued_s=token.made_s,
            key_id=token.key,
        )
        if token.revoked is not None or is_revoked:
            state = TokenState.REVOKED
        elif token.until_s * 1000 <= self._behind.now_ms():
            state = TokenState.EXPIRED
        return TokenDocument(
            token=token.id,
            herd=token.herd,
            account=token.account,
            state=state,
            description=token.description,
            made_by=token.made_by,
            secret=token.secret,
            made_ms=token.made_s * 1000,
            until_ms=token.until_s * 1000,
            revoked_by=token.revoked.by if token.revoked is not None else "",
            revoked_ms=token.revoked.at_ms if token.revoked is not None else 0,
            revision=revision,
        )


def _form(data: bytes, basic: str) -> dict[str, str]:
    """Return the fields of a form that asks for a token; the client may have shown itself by the scheme Basic instead. Raises Invalid for one that does not say all of them, each once."""
    try:
        listed = parse_qsl(
            data.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except (UnicodeError, ValueError):
        raise _bad_form("it is no form") from None
    listed += _shown(basic) if basic else ()
    fields = dict(listed)
    if len(fields) < len(listed):
        raise _bad_form("it says a field twice")
    if fields.get("grant_type") != _GRANT:
        raise _bad_form(f"grant_type is not {_GRANT}")
    wanted = {"grant_type", "client_id", "client_secret"}
    if missing := sorted(wanted - fields.keys()):
        raise _bad_form(f"it has no {missing[0]}")
    if unknown := sorted(fields.keys() - wanted - _PASSED_OVER):
        raise _bad_form(f"it has a field {unknown[0][:50]!r}")
    return fields


def _shown(basic: str) -> tuple[tuple[str, str], ...]:
    """Return the client's id and secret as it has shown them by the scheme Basic: each encoded as in a form (RFC 6749, 2.3.1)."""
    try:
        client, colon, secret = b64decode(basic, validate=True).decode("ascii").partition(":")
    except ValueError:
        raise _bad_form("what the header Authorization says by Basic cannot be read") from None
    if not colon:
        raise _bad_form("the header Authorization says no secret")
    return ("client_id", unquote_plus(client)), ("client_secret", unquote_plus(secret))


def _bad_form(why: str) -> Invalid:
    return Invalid(
        f"this asks for no token: {why}",
        hint=f"grant_type={_GRANT}&client_id=HERD%2FNAME&client_secret=SECRET",
    )
