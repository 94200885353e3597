"""Signing keys as records: what a rotation makes of them, and that they say the same keys again."""

from __future__ import annotations

import pytest
from runink.errors import Broken
from runink.identity.key_records import (
    KeyState,
    SigningRecord,
    change_to,
    private_key,
    ring_of,
    signing_keys,
)
from runink.identity.rotation import PUBLISHED_AHEAD_S, RETIRES_AFTER_S, SigningKeys
from runink.identity.signing import SigningKey

NOW_S = 1_800_000_000
ONE, TWO = (SigningKey.from_entropy(bytes([number]) * 32) for number in (1, 2))


def seal(key: SigningKey) -> bytes:
    return b"sealed" + key.to_bytes()


def opened(record: SigningRecord) -> bytes:
    return record.sealed.removeprefix(b"sealed")


class Kept:
    """Records as the Barn would have them."""

    def __init__(self) -> None:
        self.records: dict[str, SigningRecord] = {}

    def become(self, keys: SigningKeys, now_s: int) -> tuple[int, int]:
        change = change_to(keys, self.records.values(), seal, now_s=now_s)
        for kid in change.deleted:
            del self.records[kid]
        for record in change.written:
            self.records[record.kid] = record
        return len(change.written), len(change.deleted)

    def keys(self) -> SigningKeys:
        found = signing_keys(self.records.values(), opened)
        assert found is not None
        return found

    @property
    def states(self) -> dict[str, KeyState]:
        return {record.kid: record.state for record in self.records.values()}


def test_a_rotation_goes_through_records_as_it_goes_through_values():
    kept = Kept()
    assert signing_keys((), opened) is None
    assert kept.become(SigningKeys(ONE), NOW_S) == (1, 0)
    assert kept.keys() == SigningKeys(ONE)
    assert kept.become(kept.keys().announce(TWO, NOW_S), NOW_S) == (1, 0)
    assert kept.states == {ONE.kid: KeyState.ACTIVE, TWO.kid: KeyState.UPCOMING}
    assert kept.become(kept.keys().rotate(NOW_S + 1), NOW_S + 1) == (0, 0), "it is not time yet"
    took_s = NOW_S + PUBLISHED_AHEAD_S
    assert kept.become(kept.keys().rotate(took_s), took_s) == (2, 0)
    assert kept.states == {ONE.kid: KeyState.RETIRING, TWO.kid: KeyState.ACTIVE}
    assert kept.records[ONE.kid].sealed == b"", "the private half is forgotten at once"
    assert kept.records[ONE.kid].made_s == NOW_S
    assert set(ring_of(kept.records.values()).keys) == {(ONE.kid, "ES256"), (TWO.kid, "ES256")}
    gone_s = took_s + RETIRES_AFTER_S
    assert kept.become(kept.keys().rotate(gone_s), gone_s) == (0, 1)
    assert kept.states == {TWO.kid: KeyState.ACTIVE}


def test_a_record_shows_no_private_half_and_takes_no_other():
    kept = Kept()
    kept.become(SigningKeys(ONE), NOW_S)
    record = kept.records[ONE.kid]
    assert "sealed" not in repr(record)
    assert set(record.public) == {"alg", "crv", "kid", "kty", "use", "x", "y"}
    with pytest.raises(Broken) as info:
        private_key(record, TWO.to_bytes())
    assert info.value.code == "bad_signing_key"
