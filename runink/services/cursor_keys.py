"""Keys that seal cursors: they follow from secrets that all members have, so that each reads what another one, or it itself before a restart, has written."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from typing import Final

from runink.operations.cursors import KEY_BYTES_MIN

_CURSORS: Final = b"runink api cursors"


def cursor_keys(secrets: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return a key for each secret, in that order, by HKDF with SHA-256 (RFC 5869); a random one if there are none."""
    return tuple(map(_derived, secrets)) or (os.urandom(KEY_BYTES_MIN),)


def _derived(secret: bytes) -> bytes:
    extracted = hmac.digest(bytes(KEY_BYTES_MIN), secret, "sha256")
    return hmac.digest(extracted, _CURSORS + b"\x01", "sha256")
