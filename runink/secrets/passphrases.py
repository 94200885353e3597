"""A root key under a passphrase: what lies on the disk opens with what somebody knows.

    runink-sealed-root-key VERSION CHECK MEMORY_KIB ITERATIONS LANES SALT RECORD

CHECK is the check value of the root key, SALT is hexadecimal, RECORD a sealed record (`seal.py`) in hexadecimal; its key is Argon2id's of the passphrase (RFC 9106), whose parameters stand before it.
They are those that RFC 9106 (§4) recommends where memory is short: 64 MiB, 3 passes, 4 lanes.  Other parameters are read too, up to limits: a line that somebody has changed does not take all memory there is.

A passphrase is taken in Unicode's form NFC, so that it is the same from each keyboard (RFC 8265, OpaqueString).
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from typing import Final

import msgspec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from runink.errors import Invalid, Refused
from runink.secrets.seal import CHECK_BYTES, KEY_BYTES, Place, RootKey, SealingKey, opened, seal

KIND: Final = "root-key"
SALT_BYTES: Final = 16
PASSPHRASE_MIN: Final = 12  # characters
PASSPHRASE_MAX: Final = 1024
MEMORY_KIB_MAX: Final = 1 << 20
ITERATIONS_MAX: Final = 64
LANES_MAX: Final = 64
_BY_PASSPHRASE: Final = 1  # the version of a key that is derived: there is one
_LINE: Final = re.compile(
    rf"runink-sealed-root-key ([1-9]\d{{0,8}}) ([0-9a-f]{{{CHECK_BYTES * 2}}}) ([1-9]\d{{0,9}}) ([1-9]\d{{0,3}}) ([1-9]\d{{0,3}}) ([0-9a-f]{{{SALT_BYTES * 2}}}) ([0-9a-f]{{2,512}})",
    re.ASCII,
)


class Cost(msgspec.Struct, frozen=True):
    """What trying a passphrase costs: memory in KiB, passes over it, and lanes."""

    memory_kib: int = 64 << 10
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if not (
            8 * self.lanes <= self.memory_kib <= MEMORY_KIB_MAX
            and 1 <= self.iterations <= ITERATIONS_MAX
            and 1 <= self.lanes <= LANES_MAX
        ):
            raise Invalid(
                f"a passphrase cannot cost {self.memory_kib} KiB, {self.iterations} passes and {self.lanes} lanes",
                hint=f"at most {MEMORY_KIB_MAX} KiB, {ITERATIONS_MAX} passes and {LANES_MAX} lanes; 8 KiB for each lane at least",
            )


def under_passphrase(
    key: RootKey, passphrase: str, *, salt: bytes, nonce: bytes, cost: Cost | None = None
) -> str:
    """Return the line of a root key under a passphrase. `salt` is 16 random bytes, `nonce` 12. Raises Invalid (`weak_passphrase`)."""
    assert len(salt) == SALT_BYTES
    if not PASSPHRASE_MIN <= len(passphrase) <= PASSPHRASE_MAX:
        raise Invalid(
            f"a passphrase has {PASSPHRASE_MIN} characters at least, and {PASSPHRASE_MAX} at most",
            code="weak_passphrase",
            hint="six words that were drawn by lot are a good one",
        )
    cost = cost or Cost()
    record = seal(_derived(passphrase, salt, cost), _place(key.version), key.data, nonce=nonce)
    return f"runink-sealed-root-key {key.version} {key.check} {cost.memory_kib} {cost.iterations} {cost.lanes} {salt.hex()} {record.hex()}"


def version_under(line: str) -> int:
    """Return the version of the key that a line holds. Raises Invalid (`root_key`) for any other text."""
    return int(_parsed(line)[1])


def by_passphrase(line: str, passphrase: str) -> RootKey:
    """Return the root key of a line. Raises Invalid (`root_key`) for any other text, Refused (`wrong_passphrase`)."""
    match = _parsed(line)
    version, check = int(match[1]), match[2]
    cost = Cost(int(match[3]), int(match[4]), int(match[5]))
    salt, record = bytes.fromhex(match[6]), bytes.fromhex(match[7])
    if len(passphrase) > PASSPHRASE_MAX:
        raise _wrong()
    try:
        data = opened(_derived(passphrase, salt, cost), _place(version), record)
    except Refused:
        raise _wrong() from None
    key = RootKey(version, data) if len(data) == KEY_BYTES else None
    if key is None or not hmac.compare_digest(key.check, check):
        raise _wrong()
    return key


def _derived(passphrase: str, salt: bytes, cost: Cost) -> SealingKey:
    argon = Argon2id(
        salt=salt,
        length=KEY_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    text = unicodedata.normalize("NFC", passphrase).encode(errors="surrogatepass")
    return SealingKey(_BY_PASSPHRASE, argon.derive(text))


def _place(version: int) -> Place:
    return Place(KIND, ("passphrase",), version)


def _parsed(line: str) -> re.Match[str]:
    match = _LINE.fullmatch(line.strip())
    if match is None or len(match[7]) % 2:
        raise Invalid("this is no root key under a passphrase", code="root_key", hint="put the file back from where it was kept")  # fmt: skip
    return match


def _wrong() -> Refused:
    return Refused(
        "this is not the passphrase, or the file of the root key is damaged",
        code="wrong_passphrase",
        hint="or put the file back from where it was kept",
    )
