"""Sealed records: what opens them, and what is said when they do not open."""

from __future__ import annotations

import pytest
from runink.errors import Refused
from runink.secrets.seal import (
    KEY_BYTES,
    Place,
    RootKey,
    SealingKey,
    derived,
    key_version_of,
    opened,
    seal,
)

KEY = RootKey(3, bytes(range(KEY_BYTES)))
PLACE = Place("authority", ("farm", "ab12"), 1)
NONCE = bytes(range(12))


def test_what_is_sealed_opens_where_it_belongs():
    record = seal(KEY, PLACE, b"a private key", nonce=NONCE)
    assert opened(KEY, PLACE, record) == b"a private key"
    assert key_version_of(record) == 3
    assert b"private" not in record


def test_the_bytes_of_a_record_stay_as_they_are():
    """What was sealed by an earlier version opens: these bytes were made once and for all."""
    record = bytes.fromhex(
        "0100000003000102030405060708090a0b2622a669ac93a36fe861fceec839fccba515c700f901cc1bd473f2f16c"
    )
    assert opened(KEY, PLACE, record) == b"a private key"
    assert seal(KEY, PLACE, b"a private key", nonce=NONCE) == record


def test_the_version_of_the_key_that_is_missing_is_named():
    record = seal(KEY, PLACE, b"x", nonce=NONCE)
    with pytest.raises(
        Refused, match="authority farm/ab12, version 1 is sealed with version 3"
    ) as caught:
        opened(RootKey(4, KEY.data), PLACE, record)
    assert caught.value.code == "seal_key"


def test_a_version_that_is_claimed_does_not_make_a_key_fit():
    """The version in front is bound, too: a record cannot be passed off as one of another key with the same bytes."""
    record = seal(KEY, PLACE, b"x", nonce=NONCE)
    claimed = record[:1] + (4).to_bytes(4, "big") + record[5:]
    with pytest.raises(Refused) as caught:
        opened(RootKey(4, KEY.data), PLACE, claimed)
    assert caught.value.code == "seal_broken"


@pytest.mark.parametrize("record", [b"", b"\1", bytes(33), b"\2" + bytes(40), b"\1" + bytes(31)])
def test_what_is_no_record_is_refused(record):
    with pytest.raises(Refused) as caught:
        opened(KEY, PLACE, record)
    assert caught.value.code == "seal_broken"


def test_parts_of_an_id_are_not_run_together():
    record = seal(KEY, Place("secret", ("ab", "c"), 1), b"x", nonce=NONCE)
    for other in (("a", "bc"), ("abc",), ("ab", "c", ""), ("ab/c",)):
        with pytest.raises(Refused):
            opened(KEY, Place("secret", other, 1), record)


def test_a_key_that_is_wrapped_by_another_is_sealed_as_everything_is():
    data = SealingKey(1, bytes(KEY_BYTES))
    wrapped = seal(KEY, Place("data-key", ("analytics",), data.version), data.data, nonce=NONCE)
    secret = Place("secret", ("analytics", "db-password"), 7)
    record = seal(data, secret, b"hunter2", nonce=NONCE)
    key = SealingKey(1, opened(KEY, Place("data-key", ("analytics",), 1), wrapped))
    assert opened(key, secret, record) == b"hunter2"


def test_a_key_that_is_derived_for_a_purpose_stays_as_it_is_and_is_for_that_alone():
    """What was sealed by it in an earlier version opens: these bytes were made once and for all."""
    made = derived(KEY, "signing-key")
    assert made.version == KEY.version
    assert made.data.hex() == "bda72480cc1f88dddf0bcfef0e6e92d13b635730cfbe4c8db82b3265071c145b"
    others = derived(KEY, "audit"), derived(RootKey(4, KEY.data), "signing-key"), KEY
    assert made.data not in {one.data for one in others}


def test_no_repr_shows_a_key():
    assert KEY.data.hex() not in repr(KEY)
    assert repr(KEY) == "RootKey(version=3)"


def test_the_check_value_tells_one_key_from_another():
    assert KEY.check == RootKey(3, KEY.data).check
    assert len({KEY.check, RootKey(4, KEY.data).check, RootKey(3, bytes(KEY_BYTES)).check}) == 3
    assert len(KEY.check) == 16
