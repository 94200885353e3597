"""What the Barn says of who may what, held in memory: herds, roles, bindings, accounts, providers, signing keys, tokens, revocations.

    in the Barn                    is held as
    /herds/, /roles/-/,            an index that decides, made anew when one of them has changed and somebody asks
    /bindings/-/, /access/
    /signing/                      the ring that the cluster's own tokens are checked by
    /tokens/, /revocations/        the set of what nobody takes any more
    /accounts/                     by herd and name
    /issuers/                      settings of providers

Filled by whoever follows the Barn. A value of its own thread of time: nothing here waits, and nothing reads a clock.
"""

from __future__ import annotations

from typing import Final

from runink.actors.tables import Seen, Table
from runink.barn.history import Watched
from runink.barn.keys import ACCOUNTS, ISSUERS, REVOCATIONS, RIGHTS, SIGNING, TOKENS, herd_key
from runink.barn.keyvalue import Change, KeyValue
from runink.clients.access import SOURCES, index_of
from runink.clients.barn import Found
from runink.herds.record import HerdRecord
from runink.identity.access import AccessIndex
from runink.identity.accounts import ServiceAccount
from runink.identity.issued import OWN, IssuedToken, RevocationRecord, issuer_of
from runink.identity.key_records import SigningRecord, ring_of
from runink.identity.keys import KeyRing
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.providers import Provider
from runink.identity.revocations import Revocation, Revocations, TokenRevoked
from runink.identity.roles import Binding, Role
from runink.names import HerdName

_HERDS, _ROLES, _BINDINGS = SOURCES
_OF_ACCESS: Final = (*SOURCES, RIGHTS.prefix())
PREFIXES: Final = (
    *_OF_ACCESS,
    ACCOUNTS.prefix(),
    ISSUERS.prefix(),
    SIGNING.prefix(),
    TOKENS.prefix(),
    REVOCATIONS.prefix(),
)


class AccessFacts:
    """One for a member. `revision` is the last one that it was told of, negative before anything was; `access_revision` is the last at which a herd, a role or a binding was changed."""

    def __init__(self) -> None:
        self.revision = -1
        self.access_revision = 0
        self.herds = Table(_HERDS, HerdRecord)
        self.roles = Table(_ROLES, Role)
        self.bindings = Table(_BINDINGS, Binding)
        self.accounts = Table(ACCOUNTS.prefix(), ServiceAccount)
        self.providers = Table(ISSUERS.prefix(), Provider)
        self.signing = Table(SIGNING.prefix(), SigningRecord)
        self.tokens = Table(TOKENS.prefix(), IssuedToken)
        self.revoked = Table(REVOCATIONS.prefix(), RevocationRecord)
        self.revocations = Revocations()
        self._index: AccessIndex | None = None
        self._ring: KeyRing | None = None

    def take(self, seen: Seen) -> None:
        """Take what the Barn holds, and forget all else, or what has changed there."""
        if isinstance(seen, Watched):
            for change in seen.changes:
                self._apply(change)
        else:
            self._load(seen.items)
            self.access_revision = seen.revision
        self.revision = seen.revision

    @property
    def index(self) -> AccessIndex:
        """Return what decides by roles and bindings as they are. Its revision is what a transaction compares that is decided on it (`clients/access.py`)."""
        if self._index is None:
            self._index = index_of(
                self.herds.values(),
                self.roles.values(),
                self.bindings.values(),
                self.access_revision,
            )
        return self._index

    @property
    def ring(self) -> KeyRing:
        """Return the ring to check the cluster's own tokens by. Raises Broken for a record that is damaged."""
        if self._ring is None:
            self._ring = ring_of(self.signing.values())
        return self._ring

    def herd(self, name: str) -> HerdRecord | None:
        """Return a herd that is not deleted."""
        found = self.herds.get(herd_key(HerdName(name)))
        return found.value if found is not None and found.value.deletion is None else None

    def account(self, herd: str, name: str) -> Found[ServiceAccount] | None:
        return self.accounts.get(ACCOUNTS.key(herd, name))

    def alive(self, herd: str, account: str, now_s: int) -> int:
        """Return how many tokens of an account are good."""
        return sum(
            one.account == account
            and one.herd == herd
            and one.until_s > now_s
            and one.revoked is None
            for one in self.tokens.values()
        )

    def why_refused(self, principal: Principal) -> str:
        """Say why somebody is not known any more whose proof is good in itself; empty for who is."""
        if len(self.revocations):  # mostly there are none, and this is asked for each decision
            refusal = self.revocations.refusal(
                issuer_of(principal),
                token_id=principal.token,
                subject=principal.subject,
                issued_s=principal.issued_s,
                key_id=principal.key,
            )
            if refusal:
                return refusal
        if principal.herd and self.herd(principal.herd) is None:
            return f"herd {principal.herd} is not there"
        if principal.kind is PrincipalKind.SERVICE_ACCOUNT:
            return self._why_no_account(principal)
        return ""

    def _why_no_account(self, principal: Principal) -> str:
        found = self.account(principal.herd, principal.name.partition("/")[2])
        if found is None:
            return f"there is no account {principal.name}"
        if found.value.is_disabled:
            return f"account {principal.name} is disabled"
        if principal.issued_s < found.value.made_ms // 1000:
            return f"it was for an account {principal.name} that is not there any more"
        return ""

    def _load(self, items: tuple[KeyValue, ...]) -> None:
        for table in self._tables():
            table.load(items)
        self.revocations = Revocations()
        for found in (*self.tokens, *self.revoked):
            revocation = self._revocation_at(found.key)
            if revocation is not None:
                self.revocations.add(revocation)
        self._index = self._ring = None

    def _apply(self, change: Change) -> None:
        key = change.key
        if key.startswith(_OF_ACCESS):
            self._index = None
            self.access_revision = change.revision
        elif key.startswith(self.signing.prefix):
            self._ring = None
        before = self._revocation_at(key)
        if before is not None:
            self.revocations.lift(before)
        for table in self._tables():
            if table.apply(change):
                break
        after = self._revocation_at(key)
        if after is not None:
            self.revocations.add(after)

    def _revocation_at(self, key: str) -> Revocation | None:
        """Return what a key says that nobody takes any more."""
        token, record = self.tokens.get(key), self.revoked.get(key)
        if token is not None and token.value.revoked is not None:
            return TokenRevoked(OWN, token.value.id, token.value.until_s)
        return record.value.what if record is not None else None

    def _tables(self) -> tuple[Table[HerdRecord] | Table[Role] | Table[Binding] | Table[ServiceAccount] | Table[Provider] | Table[SigningRecord] | Table[IssuedToken] | Table[RevocationRecord], ...]:  # fmt: skip
        return (
            self.herds,
            self.roles,
            self.bindings,
            self.accounts,
            self.providers,
            self.signing,
            self.tokens,
            self.revoked,
        )
