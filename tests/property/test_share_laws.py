"""Shares of a root key: enough of them are the key, fewer are nothing, and a wrong one is found."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.errors import Invalid, Refused, RuninkError
from runink.secrets.seal import KEY_BYTES, RootKey
from runink.secrets.shares import PREFIX, Share, put_together, read_share, split

keys = st.builds(RootKey, st.integers(1, 1000), st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))


@st.composite
def shared(draw: st.DrawFn) -> tuple[RootKey, tuple[Share, ...]]:
    needed = draw(st.integers(2, 6))
    size = (needed - 1) * KEY_BYTES
    entropy = draw(st.binary(min_size=size, max_size=size))
    key = draw(keys)
    return key, split(key, needed=needed, count=draw(st.integers(needed, 9)), entropy=entropy)


@given(shared(), st.data())
def test_as_many_shares_as_are_needed_are_the_key_whichever_they_are(
    made: tuple[RootKey, tuple[Share, ...]], data: st.DataObject
) -> None:
    key, shares = made
    chosen = data.draw(st.permutations(shares))
    count = data.draw(st.integers(shares[0].needed, len(shares)))
    assert put_together(chosen[:count]) == key


@given(shared())
def test_one_too_few_are_refused(made: tuple[RootKey, tuple[Share, ...]]) -> None:
    _, shares = made
    for few in (shares[: shares[0].needed - 1], ()):
        with pytest.raises(Refused) as refused:
            put_together(few)
        assert refused.value.code == "shares_missing"


@given(keys, keys, st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_a_share_alone_is_one_of_every_other_key_as_well(one: RootKey, other: RootKey, entropy: bytes) -> None:  # fmt: skip
    """At number 1 a polynomial of degree 1 is the key and its coefficient, added: some coefficient gives the same share of any key."""
    shifted = bytes(a ^ b ^ c for a, b, c in zip(entropy, one.data, other.data, strict=True))
    first, _ = split(one, needed=2, count=2, entropy=entropy)
    same, _ = split(other, needed=2, count=2, entropy=shifted)
    assert first.data == same.data


@given(shared(), st.data())
def test_a_share_that_is_wrong_is_named_where_one_more_is_given_than_is_needed(
    made: tuple[RootKey, tuple[Share, ...]], data: st.DataObject
) -> None:
    _, shares = made
    at = data.draw(st.integers(0, len(shares) - 1))
    bit = data.draw(st.integers(0, KEY_BYTES * 8 - 1))
    flipped = (int.from_bytes(shares[at].data) ^ (1 << bit)).to_bytes(KEY_BYTES)
    given_now = [*shares[:at], changed(shares[at], data=flipped), *shares[at + 1 :]]
    with pytest.raises(Refused) as refused:
        put_together(given_now)
    assert refused.value.code == "wrong_share"
    if len(shares) > shares[0].needed:
        assert f"share {shares[at].number} is wrong" in str(refused.value)


@given(shared(), shared())
def test_shares_of_two_keys_are_not_put_together(
    one: tuple[RootKey, tuple[Share, ...]], other: tuple[RootKey, tuple[Share, ...]]
) -> None:
    if one[0] != other[0]:
        with pytest.raises(Refused):
            put_together([one[1][0], *(changed(two, number=two.number + 9) for two in other[1])])


@given(shared(), st.data())
def test_a_share_is_read_as_it_was_written_and_with_any_other_character_not_at_all(
    made: tuple[RootKey, tuple[Share, ...]], data: st.DataObject
) -> None:
    share = made[1][-1]
    text = str(share)
    assert read_share(f" {text}\n") == share
    assert share.data.hex() not in repr(share)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda one: one != text[at]))
    with pytest.raises(Invalid) as refused:
        read_share(text[:at] + letter + text[at + 1 :].strip() + "A")
    assert refused.value.code == "bad_share"
    with pytest.raises(Invalid):
        read_share((text[:at] + letter + text[at + 1 :]) or PREFIX)


@given(st.text(max_size=400) | st.text(max_size=80).map(lambda said: PREFIX + said))
def test_whatever_text_comes_it_is_a_share_or_refused(text: str) -> None:
    try:
        told = str(read_share(text))
    except RuninkError as refused:
        told = refused.code
    assert told in {text.strip(), "bad_share"}


def test_all_sets_of_three_of_five_shares_are_the_key() -> None:
    key = RootKey(7, bytes(range(32)))
    shares = split(key, needed=3, count=5, entropy=bytes(range(64)))
    assert len({str(one) for one in shares}) == 5
    assert all(put_together(chosen) == key for chosen in combinations(shares, 3))


@pytest.mark.parametrize(("needed", "count"), [(1, 3), (3, 2), (0, 0), (2, 256)])
def test_shares_that_cannot_be_are_refused(needed: int, count: int) -> None:
    with pytest.raises(Invalid):
        split(RootKey(1, bytes(32)), needed=needed, count=count, entropy=b"")
