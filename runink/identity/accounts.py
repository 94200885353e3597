"""Service accounts: programs of a herd, and the secrets by which they get tokens.

    rnc1.ID.SECRET     rnc1       what it is, and of which format: who finds one in a log or a repository knows what to take back
                       ID         8 hexadecimal digits: which of the account's secrets it is
                       SECRET     256 random bits, base64url without padding, 43 characters

An account has several secrets at once, so that one takes another's place without a pause: make the new one, give it to the program, take the old one back.  What is kept of a
secret is a hash, and the last four characters by which people know it again.

    shown                                      answer of `secret_shown`
    a secret of the account that is good       that secret
    anything else                              nothing, for whatever reason; it takes as long
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any, Final

import msgspec
from msgspec.structs import replace as changed

from runink.errors import Conflict, Invalid, NotFound
from runink.names import AccountName, HerdName, account_name, herd_name

PREFIX: Final = "rnc1"
ID_BYTES: Final = 4
SECRET_BYTES: Final = 32
ACCOUNTS_MAX: Final = 256  # of a herd: all of them are in memory on every member
SECRETS_MAX: Final = 8  # of an account: two while one is replaced, and some that were forgotten
DESCRIPTION_CHARACTERS_MAX: Final = 1_000
LAST_CHARACTERS: Final = 4  # of a secret that are shown: 24 of its 256 bits
SECRET_LIFETIME_MS_MAX: Final = 400 * 86_400_000  # a year, and a month to replace it in
SECRET_LIFETIME_MS: Final = 90 * 86_400_000
CLIENT_SECRET_CHARACTERS_MAX: Final = 100

_WORD: Final = re.compile(rf"{PREFIX}\.([0-9a-f]{{8}})\.([A-Za-z0-9_-]{{43}})")


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a secret. `last` are its last characters; times are milliseconds of the Unix epoch."""

    id: str
    sha256: str
    last: str
    made_by: str
    made_ms: int
    until_ms: int

    def __repr__(self) -> str:
        return f"ClientSecret({self.id!r})"


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A program of a herd. One that is disabled gets no tokens, and those that it has are not taken. `made_by` is the subject who made it."""

    herd: HerdName
    name: AccountName
    description: str = ""
    is_disabled: bool = False
    secrets: tuple[ClientSecret, ...] = ()
    made_by: str = ""
    made_ms: int = 0

    @property
    def client_id(self) -> str:
        return f"{self.herd}/{self.name}"


class SecretWord(msgspec.Struct, frozen=True):
    """A secret as it is given to a program. No `repr` shows it; `str` is what people copy."""

    id: str
    secret: bytes

    def __str__(self) -> str:
        secret = base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode()
        return f"{PREFIX}.{self.id}.{secret}"

    def __repr__(self) -> str:
        return f"SecretWord(id={self.id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id)]


def with_new_secret(
    account: ServiceAccount, *, entropy: bytes, by: str, now_ms: int, lifetime_ms: int
) -> tuple[ServiceAccount, SecretWord]:
    """Return the account with one secret more, made of 36 random bytes, and that secret: nobody sees it again. Those that have expired are left out.

    Raises Invalid (`bad_lifetime`), Conflict (`too_many_secrets`).
    """
    assert len(entropy) == ID_BYTES + SECRET_BYTES
    if not 0 < lifetime_ms <= SECRET_LIFETIME_MS_MAX:
        days = SECRET_LIFETIME_MS_MAX // 86_400_000
        raise Invalid(f"a client's secret is good for {days} days at most", code="bad_lifetime")
    word = SecretWord(entropy[:ID_BYTES].hex(), entropy[ID_BYTES:])
    kept = tuple(one for one in account.secrets if now_ms < one.until_ms and one.id != word.id)
    if len(kept) >= SECRETS_MAX:
        raise Conflict(
            f"{account.client_id} has {len(kept)} secrets, and no account has more",
            code="too_many_secrets",
            hint="take one back that is used no more",
        )
    made = ClientSecret(
        id=word.id,
        sha256=_hash(word.secret),
        last=str(word)[-LAST_CHARACTERS:],
        made_by=by,
        made_ms=now_ms,
        until_ms=now_ms + lifetime_ms,
    )
    return changed(account, secrets=(*kept, made)), word


def without_secret(account: ServiceAccount, secret_id: str) -> ServiceAccount:
    """Return the account without a secret. Raises NotFound (`no_such_secret`)."""
    kept = tuple(one for one in account.secrets if one.id != secret_id)
    if len(kept) == len(account.secrets):
        raise NotFound(f"{account.client_id} has no secret {secret_id}", code="no_such_secret")
    return changed(account, secrets=kept)


def secret_shown(account: ServiceAccount | None, shown: str, *, now_ms: int) -> ClientSecret | None:
    """Return the secret of the account that was shown, if it is good. Who measures the time learns neither whether there is such an account nor how much of a secret is right."""
    match = _WORD.fullmatch(shown) if len(shown) <= CLIENT_SECRET_CHARACTERS_MAX else None
    id_, secret = (match[1], match[2]) if match is not None else ("", "")
    secrets = account.secrets if account is not None and not account.is_disabled else ()
    kept = next((one for one in secrets if one.id == id_ and now_ms < one.until_ms), None)
    known = kept.sha256 if kept is not None else _hash(b"")
    # The last letter has two bits too many, so several texts would be one secret: only the one that we have written is taken.
    plain = base64.urlsafe_b64decode(f"{secret}=") if secret else b""
    is_right = hmac.compare_digest(known, _hash(plain))
    if kept is None or not is_right or str(SecretWord(id_, plain)) != shown:
        return None
    return kept


def client_of(client_id: str) -> tuple[HerdName, AccountName]:
    """Return the herd and the name of `HERD/NAME`. Raises Invalid (`invalid_name`)."""
    herd, slash, name = client_id.partition("/")
    if not slash:
        raise Invalid(f"{client_id[:200]!r} is not HERD/NAME", code="invalid_name")
    return herd_name(herd), account_name(name)


def checked_description(text: str) -> str:
    """Return a description that is short enough. Raises Invalid (`bad_description`)."""
    if len(text) > DESCRIPTION_CHARACTERS_MAX:
        most = DESCRIPTION_CHARACTERS_MAX
        raise Invalid(f"a description has {most:,} characters at most", code="bad_description")
    return text


def _hash(secret: bytes) -> str:
    """Hash a secret for keeping. It is random and long, so a plain hash is as good as a slow one."""
    return hashlib.sha256(secret).hexdigest()
