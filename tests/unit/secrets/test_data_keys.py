"""Data keys of herds, sealed by the root key."""

from __future__ import annotations

import os
from itertools import permutations

import pytest
from msgspec.structs import replace as changed
from runink.errors import Refused
from runink.names import HerdName
from runink.secrets.data_keys import (
    WORN_AFTER_MS,
    DataKeyRecord,
    counted,
    data_key,
    is_worn,
    make_data_key,
    newest,
    taken_over,
)
from runink.secrets.seal import NONCE_BYTES, SEALS_MAX, RootKey, SealingKey

SALES, STOCK = HerdName("sales"), HerdName("stock")
FIRST, SECOND = RootKey(1, bytes(32)), RootKey(2, bytes(range(32)))
ENTROPY = bytes(range(32, 64))
NOW_MS = 1_800_000_000_000


def made(herd: HerdName = SALES, version: int = 1, root: RootKey = FIRST) -> DataKeyRecord:
    nonce = os.urandom(NONCE_BYTES)
    return make_data_key(root, herd, version, entropy=ENTROPY, nonce=nonce, now_ms=NOW_MS)


def refused(roots: tuple[RootKey, ...], herd: HerdName, record: DataKeyRecord) -> str:
    with pytest.raises(Refused) as info:
        data_key(roots, herd, record)
    return info.value.code


def test_a_key_opens_for_its_herd_its_version_and_its_root_key_alone() -> None:
    record = made()
    assert data_key((FIRST, SECOND), SALES, record) == SealingKey(1, ENTROPY)
    assert refused((FIRST,), STOCK, record) == "seal_broken"
    assert refused((FIRST,), SALES, changed(record, version=2)) == "seal_broken"
    assert refused((SECOND,), SALES, record) == "seal_key"
    assert refused((RootKey(1, SECOND.data),), SALES, record) == "seal_broken"


def test_no_record_of_another_herd_or_version_takes_its_place() -> None:
    places = [(SALES, 1), (SALES, 2), (STOCK, 1), (STOCK, 2)]
    records = {place: made(*place) for place in places}
    for here, there in permutations(places, 2):
        moved = changed(records[here], sealed=records[there].sealed)
        assert refused((FIRST,), here[0], moved) == "seal_broken"


def test_no_bit_of_it_may_be_another() -> None:
    record = made()
    for bit in range(len(record.sealed) * 8):
        flipped = bytearray(record.sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        code = refused((FIRST,), SALES, changed(record, sealed=bytes(flipped)))
        assert code in {"seal_broken", "seal_key"}


def test_another_root_key_takes_it_over_as_it_is() -> None:
    record = counted(made(), 5)
    after = taken_over((FIRST, SECOND), SALES, record, nonce=os.urandom(NONCE_BYTES))
    assert after.root_version == 2
    assert (after.version, after.made_ms, after.seals) == (1, NOW_MS, 5)
    assert data_key((SECOND,), SALES, after) == data_key((FIRST,), SALES, record)
    assert taken_over((FIRST, SECOND), SALES, after, nonce=bytes(NONCE_BYTES)) is after


def test_it_is_worn_by_its_seals_or_by_its_days() -> None:
    record = made()
    assert not is_worn(counted(record, SEALS_MAX - 1), NOW_MS + WORN_AFTER_MS - 1)
    assert is_worn(counted(record, SEALS_MAX), NOW_MS)
    assert is_worn(record, NOW_MS + WORN_AFTER_MS)


def test_the_newest_seals() -> None:
    assert newest([]) is None
    found = newest([made(version=2), made(version=10), made(version=9)])
    assert found is not None
    assert found.version == 10


def test_nothing_that_is_printed_shows_a_key() -> None:
    record = made()
    shown = f"{record!r} {data_key((FIRST,), SALES, record)!r}"
    assert ENTROPY.hex() not in shown
    assert repr(ENTROPY)[2:-1] not in shown
