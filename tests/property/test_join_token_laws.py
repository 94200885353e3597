"""Laws of join tokens: whatever text comes is a token or is refused in one way, and whatever comes in whatever order, one key joins under one name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.certificates.join_tokens import (
    LIFETIME_S,
    PREFIX,
    REPEAT_S,
    Accepted,
    JoinWord,
    Minting,
    mint,
    parse_word,
    redeem,
)
from runink.certificates.roles import Fingerprint, NodeRole
from runink.errors import Invalid

PIN = Fingerprint("ab" * 32)
ENTROPIES = st.binary(min_size=38, max_size=38)
KEYS = st.sampled_from([Fingerprint(digit * 64) for digit in "123"])
NAMES = st.sampled_from(["", "w1", "w2", "Not-a-name"])


def minted(entropy: bytes, name: str = "", now_s: int = 0):
    asked = Minting(role=NodeRole.AGENT, minted_by="ada", name=name)
    return mint(asked, PIN, now_s=now_s, entropy=entropy)


@given(ENTROPIES)
def test_a_word_is_read_as_it_was_written(entropy):
    word, _ = minted(entropy)
    assert parse_word(str(word)) == word


TEXTS = st.one_of(
    st.text(),
    st.lists(st.text(), min_size=3, max_size=3).map(lambda parts: ".".join([PREFIX, *parts])),
    st.builds(
        lambda entropy, at, letter: str(minted(entropy)[0])[:at] + letter + str(minted(entropy)[0])[at + 1 :],
        ENTROPIES,
        st.integers(0, 125),
        st.characters(),
    ),
)  # fmt: skip


@given(TEXTS)
def test_a_text_is_the_word_that_it_writes_or_is_refused(text):
    try:
        found = parse_word(text)
    except Invalid as error:
        assert error.code == "bad_join_token"  # noqa: PT017 - a text that is a word after all raises nothing
    else:
        assert str(found) in text


STEPS = st.lists(
    st.tuples(st.integers(0, LIFETIME_S), KEYS, NAMES, st.booleans()), min_size=1, max_size=12
)


@given(ENTROPIES, st.sampled_from(["", "w1"]), STEPS)
def test_one_key_joins_under_one_name_whatever_comes(entropy, name, steps):
    word, token = minted(entropy, name)
    now_s, let_in = 0, set()
    for pause_s, key, wanted, knows_secret in steps:
        now_s += pause_s
        shown = word if knows_secret else JoinWord(word.id, bytes(32), PIN)
        answer = redeem(token, shown, key, wanted=wanted, now_s=now_s)
        if isinstance(answer, Accepted):
            assert shown == word
            assert now_s < LIFETIME_S + REPEAT_S
            assert answer.is_repeat is bool(let_in)
            assert answer.name == (name or wanted)
            token = answer.token
            let_in.add((key, answer.name))
    assert len(let_in) <= 1
