"""Operations on how the cluster proves who somebody is: its first administrator, and the keys that it signs tokens with."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.identity.roles import SUBJECT_MAX
from runink.identity.vocabulary import Resource, Verb
from runink.operations.declarations import Asked, Method, Operation
from runink.operations.patterns import exact

WORD_CHARACTERS_MAX: Final = 200
KEYS_CACHED_S: Final = 300  # half of the time that a key is published before it signs
KeyText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact("[A-Za-z0-9_-]{43}"),
        description="A key's id: its thumbprint (RFC 7638).",
        examples=["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"],
    ),
]


class Bootstrap(Asked, frozen=True, kw_only=True):
    """`token` is what `runi server --init` has printed."""

    token: Annotated[str, msgspec.Meta(max_length=WORD_CHARACTERS_MAX)]
    subject: Annotated[
        str,
        msgspec.Meta(
            max_length=SUBJECT_MAX, description="`user:ISSUER:SUBJECT` or `group:ISSUER:GROUP`."
        ),
    ]


class ReadKeys(Asked, frozen=True):
    """The same for everybody."""


class RotateKeys(Asked, frozen=True):
    """Another key is published now, and signs when it has been for ten minutes."""


class OfKey(Asked, frozen=True, kw_only=True):
    key: KeyText


class Administrator(msgspec.Struct, frozen=True):
    """Who administers the cluster from now on, and by which binding."""

    subject: str
    role: str
    binding: str


class KeySet(msgspec.Struct, frozen=True):
    """The public keys by which tokens of the cluster are checked, as JWKS (RFC 7517): ES256, and nothing private. `issuer` is what its tokens have as `iss` and as `aud`."""

    keys: tuple[dict[str, str], ...]
    issuer: str


class SigningKey(msgspec.Struct, frozen=True):
    """A key. `state` is active (it signs), upcoming (it will, at `signs_from_ms` at the earliest) or retiring (its last token has expired at `until_ms`); times are 0 where they say nothing."""

    key: str
    state: str
    made_ms: int
    signs_from_ms: int
    until_ms: int


class SigningKeys(msgspec.Struct, frozen=True):
    """The keys, the one that signs first."""

    keys: tuple[SigningKey, ...]
    revision: int


BOOTSTRAP: Final = Operation(
    name="access.bootstrap",
    method=Method.POST,
    path="/bootstrap",
    request=Bootstrap,
    answer=Administrator,
    is_public=True,
    errors=("bootstrap_unknown", "bootstrap_expired", "bootstrap_used"),
    example={"token": "rna1.…", "subject": "user:corp:248289761001"},
    summary="Make the first administrator, once, by the word that the cluster began with.",
)
PUBLISHED: Final = Operation(
    name="signing-keys.published",
    method=Method.GET,
    path="/jwks",
    request=ReadKeys,
    answer=KeySet,
    cached_s=KEYS_CACHED_S,
    is_public=True,
    summary="Read the public keys of the cluster's tokens.",
    description="For other services, which check tokens of programs by them. They may be kept for five minutes; a new key is here ten minutes before its first token. Where a key was taken back as stolen, another one signs at once: ask again for a token whose key is not among those that you keep.",
)
LIST: Final = Operation(
    name="signing-keys.get",
    method=Method.GET,
    path="/signing-keys",
    request=ReadKeys,
    answer=SigningKeys,
    verb=Verb.GET,
    resource=Resource.AUTHORITY,
    summary="Read which keys sign tokens, and what becomes of them.",
)
ROTATE: Final = Operation(
    name="signing-keys.rotate",
    method=Method.POST,
    path="/signing-keys/rotate",
    request=RotateKeys,
    answer=SigningKeys,
    verb=Verb.UPDATE,
    resource=Resource.AUTHORITY,
    errors=("rotation_under_way",),
    summary="Have another key sign tokens, before its time; no token is refused for it.",
)
REVOKE: Final = Operation(
    name="signing-keys.revoke",
    method=Method.DELETE,
    path="/signing-keys/{key}",
    request=OfKey,
    answer=SigningKeys,
    verb=Verb.UPDATE,
    resource=Resource.AUTHORITY,
    errors=("no_such_key",),
    summary="Take nothing any more that a key has signed, as if it were stolen; another one signs at once.",
)
IDENTITY: Final = (BOOTSTRAP, PUBLISHED, LIST, ROTATE, REVOKE)
