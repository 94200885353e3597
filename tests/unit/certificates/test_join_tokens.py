"""Join tokens: what they look like, what is kept of them, and whom they let in."""

from __future__ import annotations

import msgspec
import pytest
from runink.certificates.denials import Denied
from runink.certificates.join_tokens import (
    LIFETIME_S,
    REPEAT_S,
    Accepted,
    JoinToken,
    JoinWord,
    Minting,
    mint,
    parse_word,
    redeem,
)
from runink.certificates.roles import Fingerprint, NodeRole
from runink.errors import Invalid

PIN = Fingerprint("ab" * 32)
KEY = Fingerprint("11" * 32)
OTHER_KEY = Fingerprint("22" * 32)
ENTROPY = bytes(range(200, 238))
NOW_S = 1_000_000
ANY = Minting(role=NodeRole.AGENT, minted_by="user:corp:ada")
FIXED = msgspec.structs.replace(ANY, name="worker-1")


def minted(asked: Minting = ANY) -> tuple[JoinWord, JoinToken]:
    return mint(asked, PIN, now_s=NOW_S, entropy=ENTROPY)


def joined(
    token: JoinToken, word: JoinWord, name: str = "worker-1", at_s: int = NOW_S
) -> JoinToken:
    answer = redeem(token, word, KEY, wanted=name, now_s=at_s)
    assert isinstance(answer, Accepted)
    return answer.token


def refusal(answer: Accepted | Denied) -> str:
    assert isinstance(answer, Denied)
    return answer.code


def test_a_word_is_read_as_it_was_written():
    word, _ = minted()
    assert parse_word(str(word)) == word
    assert parse_word(f"  '{word}'\n") == word, "as people copy it out of a command"
    assert len(str(word)) == 126


def test_what_is_kept_holds_no_secret_and_no_repr_shows_it():
    word, token = minted()
    secret = str(word).split(".")[2]
    kept = msgspec.json.encode(token).decode()
    for shown in (kept, repr(word), repr(token)):
        assert secret not in shown
        assert word.secret.hex() not in shown
    assert msgspec.json.decode(kept, type=JoinToken) == token


WHOLE = str(minted()[0])
_, ID, SECRET, _ = WHOLE.split(".")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is none of Runink"),
        ("hello", "is none of Runink"),
        (f"rnk1.{ID}", "has 2 of 4 parts"),
        (f"rnk1.{ID}.{SECRET}", "has no pin"),
        (f"rnk1.{ID}.{SECRET}.", "its pin has 0 of 64 digits"),
        (WHOLE[:-1], "its pin has 63 of 64 digits"),
        (f"{WHOLE}a", "its pin has 65 of 64 digits"),
        (f"{WHOLE}.{PIN}", "has 5 of 4 parts"),
        (f"rnk1.{ID[:-1]}.{SECRET}.{PIN}", "its second part"),
        (f"rnk1.{ID}.{SECRET[:-1]}.{PIN}", "42 of 43 characters"),
        (f"rnk1.{ID}.{SECRET[:-1]}!.{PIN}", "43 of 43 characters"),
        (f"rnk1.{ID}.{SECRET[:-1]}B.{PIN}", "its third part"),  # bits behind the last byte
        (WHOLE.upper(), "is none of Runink"),
        (WHOLE.replace("rnk1", "rnk2"), "is none of Runink"),
        ("x" * 10_000, "is none of Runink"),
    ],
)
def test_what_is_wrong_with_a_word_is_said_and_its_secret_is_not(text, said):
    with pytest.raises(Invalid) as caught:
        parse_word(text)
    assert said in caught.value.text
    assert caught.value.code == "bad_join_token"
    assert SECRET[:20] not in caught.value.text + caught.value.hint
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [("K10abc::server:def", "k3s"), ("eyJhbGciOiJSUzI1NiJ9.e30.sig", "JSON web token"), ("rnk2.a", "another version")],
)  # fmt: skip
def test_tokens_of_others_are_known(text, hint):
    with pytest.raises(Invalid) as caught:
        parse_word(text)
    assert hint in caught.value.hint


def test_a_token_lets_one_node_in_under_the_name_that_it_chooses():
    word, token = minted()
    answer = redeem(token, word, KEY, wanted="worker-7", now_s=NOW_S)
    assert isinstance(answer, Accepted)
    assert (answer.name, answer.is_repeat) == ("worker-7", False)
    assert (
        refusal(redeem(answer.token, word, OTHER_KEY, wanted="worker-8", now_s=NOW_S))
        == "join_token_used"
    )


def test_the_name_of_the_token_counts():
    word, token = minted(FIXED)
    for wanted in ("", "worker-1"):
        answer = redeem(token, word, KEY, wanted=wanted, now_s=NOW_S)
        assert isinstance(answer, Accepted)
        assert answer.name == "worker-1"
    assert refusal(redeem(token, word, KEY, wanted="m1", now_s=NOW_S)) == "join_token_name"


@pytest.mark.parametrize("wanted", ["", "../m1", "M1", "a.b", "a" * 64])
def test_who_joins_needs_a_name(wanted):
    word, token = minted()
    assert refusal(redeem(token, word, KEY, wanted=wanted, now_s=NOW_S)) == "join_token_name"


def test_an_answer_that_was_lost_is_given_again_to_the_same_key_and_nobody_else():
    word, token = minted()
    used = joined(token, word)
    again = redeem(used, word, KEY, wanted="worker-1", now_s=NOW_S + 5)
    assert again == Accepted(used, used.used.name, is_repeat=True)
    for key, wanted in (
        (OTHER_KEY, "worker-1"),
        (KEY, "worker-2"),
        (OTHER_KEY, "worker-2"),
        (KEY, ""),
    ):
        assert refusal(redeem(used, word, key, wanted=wanted, now_s=NOW_S + 5)) == "join_token_used"


def test_a_join_is_repeated_for_a_while_also_when_the_token_has_expired_meanwhile():
    word, token = minted()
    last_s = NOW_S + LIFETIME_S - 1
    used = joined(token, word, at_s=last_s)
    again = redeem(used, word, KEY, wanted="worker-1", now_s=last_s + REPEAT_S - 1)
    assert isinstance(again, Accepted)
    late = redeem(used, word, KEY, wanted="worker-1", now_s=last_s + REPEAT_S)
    assert refusal(late) == "join_token_used"


def test_a_token_expires():
    word, token = minted()
    assert joined(token, word, at_s=token.until_s - 1)
    late = redeem(token, word, KEY, wanted="worker-1", now_s=token.until_s)
    assert refusal(late) == "join_token_expired"
    assert token.until_s == NOW_S + 3600


def test_who_has_not_got_the_secret_learns_nothing():
    """Not whether there is such a token, whether it has expired or was used, or which names it is for."""
    word, token = minted(FIXED)
    guess = JoinWord(word.id, bytes(32), PIN)
    unknown = redeem(None, guess, KEY, wanted="x", now_s=NOW_S)
    assert refusal(unknown) == "join_token_unknown"
    for record in (token, joined(token, word)):
        for now_s in (NOW_S, token.until_s + 10_000):
            assert redeem(record, guess, KEY, wanted="m1", now_s=now_s) == unknown


@pytest.mark.parametrize(
    "changed",
    [
        {"lifetime_s": 59},
        {"lifetime_s": 7 * 86400 + 1},
        {"name": "Worker"},
        {"rejoins": True},
        {"labels": tuple(map(str, range(65)))},
        {"herds": tuple(map(str, range(65)))},
        {"minted_by": "x" * 257},
    ],
)
def test_what_nobody_can_mean_is_not_minted(changed):
    with pytest.raises(Invalid):
        minted(msgspec.structs.replace(ANY, **changed))


def test_a_refusal_crosses_the_wire_as_an_error():
    error = Denied("join_token_used", "text", "hint").error()
    assert (error.code, error.text, error.hint) == ("join_token_used", "text", "hint")
