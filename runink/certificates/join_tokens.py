"""Join tokens: the word that lets one node into the cluster, once.

    rnk1.ID.SECRET.PIN     rnk1       what it is, and of which format
                           ID         12 hexadecimal digits: which record it is about
                           SECRET     256 random bits, base64url without padding, 43 characters
                           PIN        fingerprint of the cluster's authority, 64 hexadecimal digits

The pin is never left out: it is how the joiner knows the cluster, before it says the secret.  As the last part it also shows that the token is whole.
What is kept (`JoinToken`) holds a hash of the secret, so whoever reads the Barn joins nothing by it.

    shown                                            answer of `redeem`
    no such record, or another secret                Denied `join_token_unknown`: both look alike
    expired                                          Denied `join_token_expired`
    a name that it may not have, or none             Denied `join_token_name`
    for the first time                               Accepted; the record says whose key it was used for
    again, with the same key and name                Accepted, as the same join: its answer was lost.  For REPEAT_S, also when it has expired meanwhile
    again, with another key or name                  Denied `join_token_used`

Whoever redeems writes the record back only if nobody has meanwhile (compare and swap): of two who come at once, one joins.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any, Final

import msgspec

from runink.certificates.denials import Denied
from runink.certificates.roles import Fingerprint, NodeRole
from runink.errors import Invalid
from runink.names import HerdName, NodeId, node_id

PREFIX: Final = "rnk1"
ID_BYTES: Final = 6
SECRET_BYTES: Final = 32
LIFETIME_S: Final = 3600
LIFETIME_S_MAX: Final = 7 * 24 * 3600  # machines that are set up by night still find theirs
LIFETIME_S_MIN: Final = 60
REPEAT_S: Final = 600  # a joiner that has no answer asks again for as long
TOKEN_CHARACTERS_MAX: Final = 1000  # what is longer was pasted from elsewhere
PARTS: Final = 4
NAMES_MAX: Final = 64  # labels, and herds, of one token
MINTED_BY_CHARACTERS_MAX: Final = 256

_ID: Final = re.compile(r"[0-9a-f]{12}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PIN: Final = re.compile(r"[0-9a-f]{64}")


class JoinWord(msgspec.Struct, frozen=True):
    """A token as it is given to who joins. No `repr` shows its secret; `str` is what people copy."""

    id: str
    secret: bytes
    pin: Fingerprint

    def __str__(self) -> str:
        secret = base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode()
        return f"{PREFIX}.{self.id}.{secret}.{self.pin}"

    def __repr__(self) -> str:
        return f"JoinWord(id={self.id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id)]


class Used(msgspec.Struct, frozen=True):
    """For whom a token was used: that key, under that name."""

    key: Fingerprint
    name: NodeId
    at_s: int


class JoinToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a token.

    `name` is the only name that it is good for, empty where the joiner chooses one.  `labels` and `herds` are what the node may say of itself at the most, empty for no limit.
    `rejoins` lets a node in that the cluster knows already: what it was given before counts no more.
    """

    id: str
    secret_sha256: str
    role: NodeRole
    name: NodeId = NodeId("")
    labels: tuple[str, ...] = ()
    herds: tuple[HerdName, ...] = ()
    rejoins: bool = False
    minted_by: str
    minted_s: int
    until_s: int
    used: Used | None = None


class Accepted(msgspec.Struct, frozen=True):
    """A join. `token` is the record as it is to be written; a repeated join (`is_repeat`) leaves it as it was and gets the answer of the first."""

    token: JoinToken
    name: NodeId
    is_repeat: bool = False


class Minting(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks a token for: see `JoinToken`."""

    role: NodeRole
    minted_by: str
    name: str = ""
    labels: tuple[str, ...] = ()
    herds: tuple[HerdName, ...] = ()
    rejoins: bool = False
    lifetime_s: int = LIFETIME_S


def mint(
    asked: Minting, pin: Fingerprint, *, now_s: int, entropy: bytes
) -> tuple[JoinWord, JoinToken]:
    """Make a token out of 38 random bytes: the word for the joiner, which nobody sees again, and what is kept. Raises Invalid."""
    assert len(entropy) == ID_BYTES + SECRET_BYTES
    assert _PIN.fullmatch(pin)
    _check(asked)
    word = JoinWord(entropy[:ID_BYTES].hex(), entropy[ID_BYTES:], pin)
    token = JoinToken(
        id=word.id,
        secret_sha256=_hash(word.secret),
        role=asked.role,
        name=NodeId(asked.name),
        labels=asked.labels,
        herds=asked.herds,
        rejoins=asked.rejoins,
        minted_by=asked.minted_by,
        minted_s=now_s,
        until_s=now_s + asked.lifetime_s,
    )
    return word, token


def parse_word(text: str) -> JoinWord:
    """Return the token that somebody was given. Raises Invalid (`bad_join_token`), which says what is wrong with it and never shows it."""
    bare = text.strip().strip("'\"")
    parts = bare.split(".")
    if len(bare) > TOKEN_CHARACTERS_MAX or parts[0] != PREFIX:
        raise _bad("is none of Runink", _hint_of(bare))
    if len(parts) == PARTS - 1 and _SECRET.fullmatch(parts[2]):
        raise _bad("has no pin: the part behind the third dot is missing")
    if len(parts) != PARTS:
        raise _bad(f"has {len(parts)} of {PARTS} parts: it was cut, or pasted together")
    _, id_, secret, pin = parts
    if not _ID.fullmatch(id_):
        raise _bad("is damaged in its second part")
    if not _SECRET.fullmatch(secret):
        raise _bad(f"is damaged in its third part, which has {len(secret)} of 43 characters")
    if not _PIN.fullmatch(pin):
        raise _bad(f"was cut: its pin has {len(pin)} of 64 digits")
    known = base64.urlsafe_b64decode(f"{secret}=")
    word = JoinWord(id_, known, Fingerprint(pin))
    if str(word) != bare:  # two texts must not be the same token
        raise _bad("is damaged in its third part")
    return word


def redeem(
    token: JoinToken | None, word: JoinWord, key: Fingerprint, *, wanted: str, now_s: int
) -> Accepted | Denied:
    """Decide whether who shows this word, and a request signed by that key, joins. `wanted` is the name that it wants, empty for the token's own. See the table above."""
    known = token.secret_sha256 if token is not None else _hash(b"")
    is_right = hmac.compare_digest(known, _hash(word.secret))
    if token is None or not is_right:
        return Denied(
            "join_token_unknown",
            f"no join token {word.id} with this secret is known here",
            "it may have been taken back, or belong to another cluster: have another one minted (runi node token)",
        )
    name = token.name or NodeId(wanted)
    is_same = token.used is not None and (token.used.key, token.used.name) == (key, name)
    if token.used is not None:
        repeat_until_s = max(token.until_s, token.used.at_s + REPEAT_S)
        if is_same and now_s < repeat_until_s and wanted in {"", name}:
            return Accepted(token, name, is_repeat=True)
        return Denied(
            "join_token_used",
            f"join token {token.id} has let {token.used.name} in, and lets nobody else in",
            "each node needs a token of its own (runi node token); if nobody here has used it, somebody else has: revoke that node",
        )
    if now_s >= token.until_s:
        return Denied(
            "join_token_expired",
            f"join token {token.id} has expired",
            "have another one minted (runi node token), with a longer --expires if need be",
        )
    refused = _misnamed(token, wanted)
    if refused is not None:
        return refused
    used = Used(key, name, now_s)
    return Accepted(msgspec.structs.replace(token, used=used), name)


def _misnamed(token: JoinToken, wanted: str) -> Denied | None:
    """Say why the joiner cannot have the name that it wants, or nothing if it can."""
    if token.name and wanted not in {"", token.name}:
        text = f"join token {token.id} is for {token.name}, and {wanted!r} wants to join with it"
        return Denied("join_token_name", text)
    if token.name:
        return None
    if not wanted:
        text = f"join token {token.id} names no node, and who joins gives itself no name"
        return Denied("join_token_name", text, "say it with --name")
    try:
        node_id(wanted)
    except Invalid as error:
        return Denied("join_token_name", error.text, error.hint)
    return None


def _check(asked: Minting) -> None:
    if not LIFETIME_S_MIN <= asked.lifetime_s <= LIFETIME_S_MAX:
        text = "a join token is good for a minute to a week"
        raise Invalid(text, code="bad_join_token")
    if asked.name:
        node_id(asked.name)
    if asked.rejoins and not asked.name:
        text = "a token that lets a known node in again names that node"
        raise Invalid(text, code="bad_join_token")
    if max(len(asked.labels), len(asked.herds)) > NAMES_MAX:
        raise Invalid(
            f"a join token has {NAMES_MAX} labels or herds at most", code="bad_join_token"
        )
    if len(asked.minted_by) > MINTED_BY_CHARACTERS_MAX:
        raise Invalid("who mints a token has a shorter name", code="bad_join_token")


def _hash(secret: bytes) -> str:
    """Hash a secret for keeping. It is random and long, so a plain hash is as good as a slow one."""
    return hashlib.sha256(secret).hexdigest()


def _hint_of(text: str) -> str:
    """Return what it may be that somebody has given in place of a token."""
    if text.startswith("eyJ"):
        return "this is a JSON web token; a join token is made by: runi node token"
    if text.startswith(("K10", "K11")):
        return "this looks like a token of k3s; a join token is made by: runi node token"
    if re.match(r"rnk\d", text):
        return "it is of another version of Runink: the servers must not be newer than who joins"
    return "it begins with rnk1. and is made by: runi node token"


def _bad(what: str, hint: str = "") -> Invalid:
    return Invalid(
        f"this join token {what}",
        code="bad_join_token",
        hint=hint or "copy the whole of it, four parts with dots between them",
    )
