"""A herd's data keys, as they stand in the Barn: each version sealed by the root key, with the count of what it has sealed.

    version    seals    opens
    newest     yes      yes
    others     no       what they have sealed; they go when nothing is sealed with them any more

A key is worn after 2^30 seals, or 90 days: then another one is made.  Another root key takes the keys over as they are: what they have sealed stays.
A herd whose keys are gone has no secrets any more, wherever copies of them lie; those of its keys that lie in older copies of the Barn open with the root key that sealed them, so that one is changed then, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from runink.errors import Broken, Refused
from runink.names import HerdName
from runink.secrets.seal import (
    KEY_BYTES,
    SEALS_MAX,
    Place,
    RootKey,
    SealingKey,
    key_version_of,
    opened,
    seal,
)

KIND: Final = "data-key"
WORN_AFTER_MS: Final = 90 * 86_400_000


class DataKeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A data key. `sealed` is a record of `seal.py` by the root key, `seals` how often it has sealed."""

    version: int
    sealed: bytes
    made_ms: int
    seals: int = 0

    def __repr__(self) -> str:
        return f"DataKeyRecord(version={self.version}, seals={self.seals})"

    @property
    def root_version(self) -> int:
        """Which version of the root key opens it. Raises Refused (`seal_broken`)."""
        return key_version_of(self.sealed)


def make_data_key(
    root: RootKey, herd: HerdName, version: int, *, entropy: bytes, nonce: bytes, now_ms: int
) -> DataKeyRecord:
    """Return a new key of a herd. `entropy` is 32 random bytes, `nonce` 12."""
    assert len(entropy) == KEY_BYTES
    sealed = seal(root, _place(herd, version), entropy, nonce=nonce)
    return DataKeyRecord(version=version, sealed=sealed, made_ms=now_ms)


def data_key(roots: Iterable[RootKey], herd: HerdName, record: DataKeyRecord) -> SealingKey:
    """Return the key of a record. Raises Refused: `seal_key` if no root key of its version is there, `seal_broken` if it does not open; Broken (`bad_data_key`) if it is no key."""
    root = _root_for(roots, herd, record)
    data = opened(root, _place(herd, record.version), record.sealed)
    if len(data) != KEY_BYTES:
        raise Broken(f"{_place(herd, record.version)} is no key", code="bad_data_key")
    return SealingKey(record.version, data)


def newest(records: Iterable[DataKeyRecord]) -> DataKeyRecord | None:
    """Return the key that seals, if there is one."""
    return max(records, key=lambda one: one.version, default=None)


def is_worn(record: DataKeyRecord, now_ms: int) -> bool:
    """Say whether another key is to seal from now on."""
    return record.seals >= SEALS_MAX or now_ms - record.made_ms >= WORN_AFTER_MS


def counted(record: DataKeyRecord, seals: int = 1) -> DataKeyRecord:
    """Return the record of a key that has sealed so often more. It is written before, or with, what was sealed."""
    return changed(record, seals=record.seals + seals)


def taken_over(
    roots: tuple[RootKey, ...], herd: HerdName, record: DataKeyRecord, *, nonce: bytes
) -> DataKeyRecord:
    """Return the record sealed by the last of the root keys, which seals. Raises as `data_key`."""
    if record.root_version == roots[-1].version:
        return record
    key = data_key(roots, herd, record)
    sealed = seal(roots[-1], _place(herd, record.version), key.data, nonce=nonce)
    return changed(record, sealed=sealed)


def _root_for(roots: Iterable[RootKey], herd: HerdName, record: DataKeyRecord) -> RootKey:
    version = record.root_version
    found = next((one for one in roots if one.version == version), None)
    if found is None:
        raise Refused(
            f"{_place(herd, record.version)} is sealed with version {version} of the root key, which is not here",
            code="seal_key",
            hint="put the root key's file back from where it was kept, with all its lines",
        )
    return found


def _place(herd: HerdName, version: int) -> Place:
    return Place(KIND, (herd,), version)
