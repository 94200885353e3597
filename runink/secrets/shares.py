"""Shares of a root key: with so many of them as were said it is put together, and fewer tell nothing about it (Shamir, "How to Share a Secret", 1979).

A share is a text that people keep:

    rns1.DATA     DATA is base64url without padding of

    offset  size
    0       4     version of the key, big-endian
    4       1     how many shares are needed
    5       1     which one this is, 1 or more
    6       8     check value of the key
    14      32    the share: for each byte of the key, the value of its polynomial at this number
    46      4     check value of the share: a SHA-256 of what is before it, its beginning

Two checks, because a share that is wrong gives another key, and says nothing of it: its own finds what was mistyped, that of the key what was put together from shares of another key, or from one that somebody has made.
Where more shares are given than are needed, those that are wrong are named.

The polynomials are over GF(2^8) with AES's modulus (FIPS 197, §4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Iterable, Sequence
from itertools import combinations, islice
from typing import Final

import msgspec

from runink.errors import Invalid, Refused
from runink.secrets.seal import CHECK_BYTES, KEY_BYTES, RootKey

PREFIX: Final = "rns1."
SHARES_MAX: Final = 255  # numbers of shares are the elements of the field but 0
SETS_TRIED_MAX: Final = 5_000  # sets of shares, to find which one is wrong
_HEAD: Final = struct.Struct(f">IBB{CHECK_BYTES}s{KEY_BYTES}s")
_SUM_BYTES: Final = 4
_TEXT_MAX: Final = 256
_MODULUS: Final = 0x11B


class Share(msgspec.Struct, frozen=True):
    """A share. No `repr` shows it."""

    version: int
    needed: int
    number: int
    check: bytes
    data: bytes

    def __repr__(self) -> str:
        return f"Share(version={self.version}, needed={self.needed}, number={self.number})"

    def __str__(self) -> str:
        head = _HEAD.pack(self.version, self.needed, self.number, self.check, self.data)
        return PREFIX + base64.urlsafe_b64encode(head + _sum(head)).decode().rstrip("=")


def split(key: RootKey, *, needed: int, count: int, entropy: bytes) -> tuple[Share, ...]:
    """Return `count` shares of a key, `needed` of which put it together. `entropy` is (needed - 1) x 32 random bytes that nobody else has. Raises Invalid."""
    if not 2 <= needed <= count <= SHARES_MAX:
        raise Invalid(
            f"{count} shares of which {needed} are needed cannot be",
            hint=f"at least 2 are needed, and there are {SHARES_MAX} at most",
        )
    assert len(entropy) == (needed - 1) * KEY_BYTES
    coefficients = [key.data, *_pieces(entropy)]
    check = bytes.fromhex(key.check)
    return tuple(
        Share(key.version, needed, number, check, _values(coefficients, number))
        for number in range(1, count + 1)
    )


def read_share(text: str) -> Share:
    """Return the share that a text is. Raises Invalid (`bad_share`)."""
    text = text.strip()
    if len(text) > _TEXT_MAX or not text.startswith(PREFIX):
        raise _bad("this is no share of a root key", f"it begins with {PREFIX}")
    said = text.removeprefix(PREFIX)
    try:
        content = base64.b64decode(said + "=" * (-len(said) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    head, told = content[: _HEAD.size], content[_HEAD.size :]
    if len(head) < _HEAD.size or not hmac.compare_digest(_sum(head), told):
        raise _bad("this share is damaged: its check value is another", "look at each character")
    share = Share(*_HEAD.unpack(head))
    if not (share.version and share.number and share.needed >= 2 and str(share) == text):
        raise _bad("this share is damaged: what it says cannot be", "look at each character")
    return share


def put_together(shares: Iterable[Share]) -> RootKey:
    """Return the key. Raises Refused: `shares_missing` if there are too few, `shares_differ` if they are of several keys, `wrong_share` if they give no key that its check value knows."""
    known = {one.number: one for one in shares}
    ordered = [known[number] for number in sorted(known)]
    if not ordered:
        raise Refused("there is no share", code="shares_missing")
    first = ordered[0]
    if {(one.version, one.needed, one.check) for one in ordered} != {_whose(first)}:
        raise Refused(
            "these shares are of several keys",
            code="shares_differ",
            hint="give those that were made together; the numbers and the version stand in them",
        )
    if len(ordered) < first.needed:
        raise Refused(f"{len(ordered)} of {first.needed} shares are there", code="shares_missing")
    found = _right(ordered, first)
    if found is None:
        raise _wrong(ordered)
    key, right = found
    strangers = [one for one in ordered if one.data != _at(right, one.number)]
    if strangers:
        raise _wrong(strangers)
    return key


def _right(ordered: Sequence[Share], first: Share) -> tuple[RootKey, tuple[Share, ...]] | None:
    """Return the key that its check value knows, and shares that give it."""
    for chosen in islice(combinations(ordered, first.needed), SETS_TRIED_MAX):
        key = RootKey(first.version, _at(chosen, 0))
        if hmac.compare_digest(bytes.fromhex(key.check), first.check):
            return key, chosen
    return None


def _wrong(shares: Sequence[Share]) -> Refused:
    numbers = ", ".join(str(one.number) for one in shares)
    text = (
        f"one of the shares {numbers} is wrong" if len(shares) > 1 else f"share {numbers} is wrong"
    )
    return Refused(
        f"{text}: with it they give another key than the one that was shared",
        code="wrong_share",
        hint="give another share in its place; where one more is given than is needed, the wrong one is named",
    )


def _whose(share: Share) -> tuple[int, int, bytes]:
    return share.version, share.needed, share.check


def _bad(text: str, hint: str) -> Invalid:
    return Invalid(text, code="bad_share", hint=hint)


def _sum(head: bytes) -> bytes:
    return hashlib.sha256(b"runink-share" + head).digest()[:_SUM_BYTES]


def _pieces(entropy: bytes) -> list[bytes]:
    return [entropy[at : at + KEY_BYTES] for at in range(0, len(entropy), KEY_BYTES)]


def _tables() -> tuple[bytes, bytes]:
    """Return the powers of a generator, twice over, and the logarithms to it."""
    powers, logarithms, value = bytearray(510), bytearray(256), 1
    for power in range(255):
        powers[power] = powers[power + 255] = value
        logarithms[value] = power
        doubled = value << 1
        value ^= doubled ^ (_MODULUS if doubled & 0x100 else 0)  # times 3
    return bytes(powers), bytes(logarithms)


_POWERS, _LOGARITHMS = _tables()


def _times(one: int, other: int) -> int:
    return _POWERS[_LOGARITHMS[one] + _LOGARITHMS[other]] if one and other else 0


def _over(one: int, other: int) -> int:
    return _POWERS[_LOGARITHMS[one] + 255 - _LOGARITHMS[other]] if one else 0


def _values(coefficients: Sequence[bytes], at: int) -> bytes:
    """Return the values of the polynomials at a number (Horner)."""
    values = bytes(KEY_BYTES)
    for coefficient in reversed(coefficients):
        values = bytes(
            _times(value, at) ^ added for value, added in zip(values, coefficient, strict=True)
        )
    return values


def _at(shares: Sequence[Share], number: int) -> bytes:
    """Return the values at a number of the polynomials through these shares (Lagrange)."""
    values = bytes(KEY_BYTES)
    for share in shares:
        weight = 1
        for other in shares:
            if other.number != share.number:
                weight = _times(weight, _over(other.number ^ number, other.number ^ share.number))
        values = bytes(
            value ^ _times(one, weight) for value, one in zip(values, share.data, strict=True)
        )
    return values
