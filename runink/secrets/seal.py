"""Small records, sealed: who has the key, and knows what a record is, opens it; nobody else does, and nowhere else.

    offset  size
    0       1     format: 1
    1       4     version of the key, big-endian, 1 or more
    5       12    nonce, random
    17      n     ciphertext of AES-256-GCM
    17 + n  16    its tag

The tag stands also over what the record is and where it belongs (`Place`), which the record itself does not hold.  Bound are, each with its length in 4 bytes before it, so that no two places look alike:

    "runink", "1", KIND, each part of the id, VERSION, version of the key

A record that was moved to another kind, id or version does not open, nor one of which a bit is another.  One that was put back as it was before opens: to find that is the audit trail's.

    key                    seals                                                              kind
    root key, a version    the authority's key, the key that signs the audit trail            "authority", ...
    signing root key       keys that sign tokens; it is derived from the root key             "signing-key"
                           a data key per herd and version: keys are wrapped as they are sealed    "data-key"
    data key, a version    versions of secrets of its herd                                    "secret"

A nonce is never used twice with one key.  Random ones of 96 bits are good for 2^30 seals of a key (a chance of one in 2^37 that any two are equal); whoever seals counts them, and takes another key then.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runink.errors import Refused

FORMAT: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SEALS_MAX: Final = 1 << 30  # with one key
PLAIN_BYTES_MAX: Final = 1 << 20  # a secret; keys have some hundred bytes
CHECK_BYTES: Final = 8

_HEAD: Final = struct.Struct(">BI")
_BEFORE: Final = _HEAD.size + NONCE_BYTES
_VERSION_MAX: Final = (1 << 32) - 1


class Place(msgspec.Struct, frozen=True):
    """What a record is: its kind ("secret"), its id ("analytics", "db-password"), and which version of that. Whoever opens it says it anew."""

    kind: str
    id: tuple[str, ...]
    version: int

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(self.id)}, version {self.version}"


class SealingKey(msgspec.Struct, frozen=True):
    """A key of 32 random bytes and its version, 1 or more. No `repr` shows it."""

    version: int
    data: bytes

    def __post_init__(self) -> None:
        assert 1 <= self.version <= _VERSION_MAX
        assert len(self.data) == KEY_BYTES

    def __repr__(self) -> str:
        return f"{type(self).__name__}(version={self.version})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("version", self.version)]


class RootKey(SealingKey, frozen=True):
    """The key above all others of a cluster. It lies in no Barn."""

    @property
    def check(self) -> str:
        """16 hexadecimal digits by which a key that was put together or copied is known to be the right one; they tell nothing about it."""
        text = _fields("runink", "root-key-check", str(self.version))
        return hmac.digest(self.data, text, hashlib.sha256)[:CHECK_BYTES].hex()


def derived(root: RootKey, purpose: str) -> RootKey:
    """Return a key that stands for the root key in one purpose: who has it opens what is sealed for that, and learns nothing of the root key (a PRF, as in NIST SP 800-108)."""
    text = _fields("runink", "derived-key", purpose, str(root.version))
    return RootKey(root.version, hmac.digest(root.data, text, hashlib.sha256))


def seal(key: SealingKey, place: Place, plain: bytes, *, nonce: bytes) -> bytes:
    """Return the record. `nonce` is 12 random bytes that were never used before."""
    assert len(nonce) == NONCE_BYTES
    assert len(plain) <= PLAIN_BYTES_MAX
    sealed = AESGCM(key.data).encrypt(nonce, plain, _bound(place, key.version))
    return _HEAD.pack(FORMAT, key.version) + nonce + sealed


def key_version_of(record: bytes) -> int:
    """Return with which version of its key a record is sealed. Raises Refused (`seal_broken`) for what is no record."""
    if len(record) < _BEFORE + TAG_BYTES or record[0] != FORMAT:
        raise Refused("this is no sealed record that we can read", code="seal_broken")
    version: int = _HEAD.unpack_from(record)[1]
    return version


def opened(key: SealingKey, place: Place, record: bytes) -> bytes:
    """Return what was sealed there. Raises Refused: `seal_key` if it was with another version of the key, `seal_broken` if it is damaged, of another place or of another key."""
    version = key_version_of(record)
    if version != key.version:
        raise Refused(
            f"{place} is sealed with version {version} of its key, and this is version {key.version}",
            code="seal_key",
        )
    try:
        return AESGCM(key.data).decrypt(
            record[_HEAD.size : _BEFORE], record[_BEFORE:], _bound(place, key.version)
        )
    except InvalidTag as error:
        raise Refused(
            f"{place} does not open: it is damaged, was moved from elsewhere, or belongs to another key",
            code="seal_broken",
            hint="the root key must be the one of this cluster; its check value is in its file",
        ) from error


def _bound(place: Place, key_version: int) -> bytes:
    assert 1 <= place.version <= _VERSION_MAX
    return _fields(
        "runink", str(FORMAT), place.kind, *place.id, str(place.version), str(key_version)
    )


def _fields(*texts: str) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack(">I", len(one)) + one for one in encoded)
