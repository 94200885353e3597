"""Cursors: where the next part of a list begins, in a text that only we can have written and read.

    text       base64url( version 1 byte | body, covered | seal 16 bytes )
    body       MessagePack of [revision, after], and bytes C1 up to a multiple of 64
    covered    body XOR SHAKE-256( key | "cover" | seal )
    seal       the first 16 bytes of HMAC-SHA256( key, version | body | binding )
    binding    SHA-256 over the operation, who asks, and each field of the request but `limit` and `cursor`

Bound to who asks and to what is asked, a cursor can be used for nothing else; with another filter it would pass over items in silence.  It is covered, because
where nothing is shown for long it names an item that its bearer must not know of.  What it is covered with hangs on all that it says (as in AES-SIV, RFC 5297): two cursors
are the same where they say the same, and tell nothing else.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256, shake_256
from typing import Any, Final

import msgspec

from runink.errors import Invalid
from runink.operations.answers import Items, Page
from runink.operations.calls import Position
from runink.operations.declarations import Asked, AskedPage, Operation

KEY_BYTES_MIN: Final = 32
_SEAL_BYTES: Final = 16  # 2^128 guesses, each of them a request
_VERSION: Final = b"\x02"
_FILL: Final = b"\xc1"  # no value of MessagePack has it at its end
_BODY_BYTES: Final = 64  # its length is a multiple of this: how long a name is would tell of it
_AFTER_MAX: Final = 512  # characters: the key of an item
_PAGING: Final = frozenset({"limit", "cursor"})


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    revision: int
    after: str


class Cursors:
    """Writes cursors with the first of its keys and reads them with any: a new key is put in front, and the old one taken out when no page is that old."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        assert keys
        assert all(len(key) >= KEY_BYTES_MIN for key in keys)
        self._keys = tuple(keys)

    def write(self, position: Position, binding: bytes) -> str:
        """Return the cursor of a position."""
        assert len(position.after) <= _AFTER_MAX
        body = msgspec.msgpack.encode(_Body(position.revision, position.after))
        body += _FILL * (-len(body) % _BODY_BYTES)
        seal = _seal(self._keys[0], body, binding)
        text = urlsafe_b64encode(_VERSION + _covered(self._keys[0], seal, body) + seal)
        return text.rstrip(b"=").decode()

    def read(self, text: str, binding: bytes) -> Position:
        """Return the position that a cursor stands for. Raises Invalid (`invalid_cursor`) for what we have not written for this list and this caller."""
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise _foreign() from None
        is_canonical = urlsafe_b64encode(raw).rstrip(b"=") == text.encode(errors="replace")
        covered, seal = raw[1:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
        if not (is_canonical and raw.startswith(_VERSION)):
            raise _foreign()
        for key in self._keys:
            body = _covered(key, seal, covered)
            if hmac.compare_digest(seal, _seal(key, body, binding)):
                inner = msgspec.msgpack.decode(body.rstrip(_FILL), type=_Body)
                return Position(inner.revision, inner.after)
        raise _foreign()


def binding_of(operation: Operation, request: AskedPage, subject: str) -> bytes:
    """Return what a cursor is bound to: the operation, who asks, and which items it asks for."""
    fields = msgspec.to_builtins(request, order="deterministic")
    filters = sorted((name, value) for name, value in fields.items() if name not in _PAGING)
    return sha256(msgspec.msgpack.encode([operation.name, subject, filters])).digest()


def page_of(
    operation: Operation, request: AskedPage, items: Items[Any], cursors: Cursors, subject: str
) -> Page[Any]:
    """Return a part of a list as it is shown, with the cursor of the next one."""
    assert len(items.items) <= request.limit, f"{operation.name} gave more than was asked for"
    following = ""
    if items.after:
        position = Position(items.revision, items.after)
        following = cursors.write(position, binding_of(operation, request, subject))
    return Page(items.items, items.revision, following)


def position_of(
    operation: Operation, request: Asked, cursors: Cursors, subject: str
) -> Position | None:
    """Return where the list that is asked for goes on, nothing at its beginning. Raises Invalid (`invalid_cursor`)."""
    if not (isinstance(request, AskedPage) and request.cursor):
        return None
    return cursors.read(request.cursor, binding_of(operation, request, subject))


def _seal(key: bytes, body: bytes, binding: bytes) -> bytes:
    return hmac.digest(key, _VERSION + body + binding, "sha256")[:_SEAL_BYTES]


def _covered(key: bytes, seal: bytes, body: bytes) -> bytes:
    """Return a body covered, or without its cover: twice is nothing."""
    cover = shake_256(key + b"cover" + seal).digest(len(body))
    return bytes(one ^ other for one, other in zip(body, cover, strict=True))


def _foreign() -> Invalid:
    return Invalid(
        "that is no cursor of this list",
        code="invalid_cursor",
        hint="use what `next` of the page before said, with the same filters; or begin anew",
    )
