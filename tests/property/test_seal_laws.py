"""Laws of sealed records: they open where they belong, with their key, whole; and in no other way."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from runink.errors import Refused
from runink.secrets.seal import KEY_BYTES, NONCE_BYTES, Place, SealingKey, opened, seal

VERSIONS = st.integers(1, 2**32 - 1)
KEYS = st.builds(SealingKey, VERSIONS, st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLACES = st.builds(Place, NAMES, st.lists(NAMES, max_size=3).map(tuple), VERSIONS)
NONCES = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
PLAINS = st.binary(max_size=64)


@given(KEYS, PLACES, PLAINS, NONCES)
def test_what_was_sealed_opens(key, place, plain, nonce):
    assert opened(key, place, seal(key, place, plain, nonce=nonce)) == plain


@given(KEYS, PLACES, PLACES, PLAINS, NONCES)
def test_no_record_opens_in_another_place(key, place, other, plain, nonce):
    assume(place != other)
    record = seal(key, place, plain, nonce=nonce)
    with pytest.raises(Refused):
        opened(key, other, record)


@given(KEYS, PLACES, PLAINS, NONCES, st.data())
def test_no_record_opens_in_a_place_of_which_one_part_is_another(key, place, plain, nonce, data):
    """Each of kind, id and version for itself: places that differ much prove less."""
    record = seal(key, place, plain, nonce=nonce)
    others = [
        Place(data.draw(NAMES), place.id, place.version),
        Place(place.kind, data.draw(st.permutations(place.id).map(tuple)), place.version),
        Place(place.kind, (*place.id, data.draw(NAMES)), place.version),
        Place(place.kind, place.id, data.draw(VERSIONS)),
    ]
    if place.id:
        others.append(Place(place.id[0], (place.kind, *place.id[1:]), place.version))
    for other in others:
        if other != place:
            with pytest.raises(Refused):
                opened(key, other, record)


@given(KEYS, PLACES, PLAINS, NONCES)
def test_no_record_opens_of_which_a_bit_is_another(key, place, plain, nonce):
    """Every bit of it, one after the other."""
    record = seal(key, place, plain, nonce=nonce)
    for bit in range(8 * len(record)):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused):
            opened(key, place, bytes(damaged))


@given(KEYS, PLACES, PLAINS, NONCES)
def test_no_record_opens_that_was_cut_or_went_on(key, place, plain, nonce):
    record = seal(key, place, plain, nonce=nonce)
    for length in range(len(record)):
        with pytest.raises(Refused):
            opened(key, place, record[:length])
    with pytest.raises(Refused):
        opened(key, place, record + b"\0")


@given(KEYS, KEYS, PLACES, PLAINS, NONCES)
def test_no_other_key_opens_a_record(key, other, place, plain, nonce):
    assume(key.data != other.data)
    record = seal(key, place, plain, nonce=nonce)
    with pytest.raises(Refused):
        opened(other, place, record)
    with pytest.raises(Refused):
        opened(SealingKey(key.version, other.data), place, record)


@given(st.binary(max_size=80), KEYS, PLACES)
def test_whatever_is_no_record_is_refused_and_nothing_else_is_raised(record, key, place):
    with pytest.raises(Refused):
        opened(key, place, record)
