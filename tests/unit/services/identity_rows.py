"""Rows of operations on programs, their tokens, the first administrator and signing keys. No world of the matrix signs tokens: who may is told so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import ACCOUNTS, BOOTSTRAP, TOKENS
from runink.identity.accounts import ID_BYTES, ServiceAccount, with_new_secret
from runink.identity.accounts import SECRET_BYTES as KEY_BYTES
from runink.identity.bootstrap import RECORD, SECRET_BYTES, make_word
from runink.identity.issued import IssuedToken
from runink.names import AccountName, HerdName
from runink.operations.catalog import accounts
from runink.testing.served import NOW_MS, Served

ID = "01JDYX5K3QW8R2M4N6P7S9T0V1"
WORD, KEPT = make_word(bytes(SECRET_BYTES), now_s=NOW_MS // 1000)
OF = {"account": "nightly"}
UNSIGNED = "no_tokens"
PUBLIC = "it is for everybody"
AUTHORITY = "the keys are one thing"


async def account(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a program in the herd."""
    await world.ask(accounts.CREATE, herd=herd, **OF)
    return {}


async def secret(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a program with a secret, which goes by the same id in every herd."""
    bare = ServiceAccount(herd=HerdName(herd), name=AccountName("nightly"))
    made, word = with_new_secret(
        bare,
        entropy=bytes(ID_BYTES + KEY_BYTES),
        by="operator:root",
        now_ms=NOW_MS,
        lifetime_ms=60_000,
    )
    await world.barn.put(ACCOUNTS.key(herd, made.name), made)
    return {"secret": word.id}


async def token(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a program with a token."""
    await account(world, herd)
    now_s = NOW_MS // 1000
    made = IssuedToken(
        id=ID,
        herd=HerdName(herd),
        account=AccountName("nightly"),
        made_by="operator:root",
        made_s=now_s,
        until_s=now_s + 60,
        key="k",
    )
    await world.barn.put(TOKENS.key(herd, ID), made)
    return {}


async def begun(world: Served, _: str) -> Mapping[str, Any]:
    """Have a cluster whose first administrator was not made yet."""
    await world.barn.put(BOOTSTRAP.key(RECORD), KEPT)
    return {}


IDENTITY_ROWS: dict[str, Row] = {
    "accounts.list": Row(prepare=account, shows="nightly"),
    "accounts.get": Row(OF, prepare=account),
    "accounts.create": Row(OF, makes="nightly"),
    "accounts.update": Row({**OF, "description": "x", "disabled": True}, prepare=account),
    "accounts.delete": Row(OF, prepare=account),
    "accounts.secrets.create": Row(OF, prepare=account),
    "accounts.secrets.delete": Row(OF, prepare=secret),
    "tokens.mint": Row(OF, prepare=account, told=UNSIGNED),
    "tokens.list": Row(prepare=token, shows="nightly"),
    "tokens.revoke": Row({**OF, "token": ID}, prepare=token, told=UNSIGNED),
    "tokens.revoke-all": Row(OF, prepare=account, told=UNSIGNED),
    "tokens.issue": Row(
        content=b"grant_type=client_credentials&client_id=sales%2Fnightly&client_secret=x",
        told=UNSIGNED,
        nameless=PUBLIC,
    ),
    "issuers.sign-out": Row({"issuer": "corp", "subject": "ann"}, told=UNSIGNED),
    "access.bootstrap": Row(
        {"token": WORD, "subject": "user:corp:ann"}, prepare=begun, nameless=PUBLIC
    ),
    "signing-keys.published": Row(told=UNSIGNED, nameless=PUBLIC),
    "signing-keys.get": Row(told=UNSIGNED, nameless=AUTHORITY),
    "signing-keys.rotate": Row(told=UNSIGNED, nameless=AUTHORITY),
    "signing-keys.revoke": Row({"key": "k" * 43}, told=UNSIGNED),
}
