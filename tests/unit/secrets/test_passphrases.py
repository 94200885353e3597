"""A root key under a passphrase."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.errors import Invalid, Refused, RuninkError
from runink.secrets.passphrases import (
    ITERATIONS_MAX,
    MEMORY_KIB_MAX,
    Cost,
    by_passphrase,
    under_passphrase,
    version_under,
)
from runink.secrets.seal import RootKey

KEY = RootKey(3, bytes(range(32)))
WORDS = "correct horse battery staple"
CHEAP = Cost(memory_kib=64, iterations=1, lanes=1)
LINE = under_passphrase(KEY, WORDS, salt=bytes(16), nonce=bytes(12), cost=CHEAP)


def test_a_key_comes_back_by_its_passphrase_alone() -> None:
    assert by_passphrase(f"{LINE}\n", WORDS) == KEY
    assert version_under(LINE) == 3
    for wrong in ("", WORDS[:-1], WORDS.upper(), WORDS * 100):
        with pytest.raises(Refused) as refused:
            by_passphrase(LINE, wrong)
        assert refused.value.code == "wrong_passphrase"


def test_what_is_not_said_is_what_rfc_9106_recommends() -> None:
    line = under_passphrase(KEY, WORDS, salt=bytes(16), nonce=bytes(12))
    assert line.split()[3:6] == ["65536", "3", "4"]
    assert by_passphrase(line, WORDS) == KEY


def test_an_accent_is_the_same_from_each_keyboard() -> None:
    line = under_passphrase(KEY, "cinq mots très français", salt=bytes(16), nonce=bytes(12), cost=CHEAP)  # fmt: skip
    assert by_passphrase(line, "cinq mots tre\N{COMBINING GRAVE ACCENT}s franc\N{COMBINING CEDILLA}ais") == KEY  # fmt: skip


@pytest.mark.parametrize("short", ["", "hunter2", "x" * 1025])
def test_a_passphrase_is_neither_short_nor_endless(short: str) -> None:
    with pytest.raises(Invalid) as weak:
        under_passphrase(KEY, short, salt=bytes(16), nonce=bytes(12), cost=CHEAP)
    assert weak.value.code == "weak_passphrase"


@settings(max_examples=300)
@given(st.data())
def test_with_any_other_character_a_line_opens_nothing(data: st.DataObject) -> None:
    # Parameters of the cost and the check value stand in no tag of their own: what changes them makes another key, or another value to compare with.
    at = data.draw(st.integers(0, len(LINE) - 1))
    letter = data.draw(st.sampled_from("0123456789abcdef Z\0é").filter(lambda one: one != LINE[at]))
    changed = LINE[:at] + letter + LINE[at + 1 :]
    if changed.strip() == LINE:
        return
    with pytest.raises(RuninkError) as refused:
        by_passphrase(changed, WORDS)
    assert refused.value.code in {"root_key", "wrong_passphrase", "invalid"}


@pytest.mark.parametrize(
    ("memory", "iterations", "lanes"),
    [(MEMORY_KIB_MAX + 1, 1, 1), (64, ITERATIONS_MAX + 1, 1), (64, 1, 65), (7, 1, 1), (64, 0, 1)],
)
def test_a_line_does_not_take_all_memory_or_for_ever(memory: int, iterations: int, lanes: int) -> None:  # fmt: skip
    with pytest.raises(Invalid):
        Cost(memory, iterations, lanes)
    words = LINE.split()
    words[3:6] = [str(memory), str(iterations), str(lanes)]
    with pytest.raises(RuninkError):
        by_passphrase(" ".join(words), WORDS)
