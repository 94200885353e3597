"""The first administrator is made once, by a word, and never again."""

from __future__ import annotations

import os

import pytest
from runink.errors import Forbidden, Invalid, Refused
from runink.identity.bootstrap import (
    LIFETIME_S,
    REPEAT_S,
    SECRET_BYTES,
    Bootstrap,
    binding_of,
    make_word,
    redeem,
)
from runink.identity.roles import CLUSTER_ADMIN

NOW_S = 1_800_000_000
ANN, BEN = "user:corp:ann", "user:corp:ben"


def made() -> tuple[str, Bootstrap]:
    return make_word(os.urandom(SECRET_BYTES), now_s=NOW_S)


def refused(kept: Bootstrap | None, word: str, subject: str = ANN, now_s: int = NOW_S) -> str:
    with pytest.raises(Refused) as info:
        redeem(kept, word, subject, now_s=now_s)
    return info.value.code


def test_the_word_makes_one_administrator():
    word, kept = made()
    used = redeem(kept, f" {word}\n", ANN, now_s=NOW_S + 1)
    binding = binding_of(used)
    assert (binding.subjects, binding.role, binding.herd) == ((ANN,), CLUSTER_ADMIN, "*")
    assert refused(used, word, BEN) == "bootstrap_used"


def test_who_lost_the_answer_is_answered_the_same_for_a_while():
    word, kept = made()
    used = redeem(kept, word, ANN, now_s=NOW_S)
    assert redeem(used, word, ANN, now_s=NOW_S + REPEAT_S - 1) == used
    assert refused(used, word, ANN, NOW_S + REPEAT_S) == "bootstrap_used"


def test_a_wrong_word_looks_like_one_of_no_cluster():
    word, kept = made()
    other, _ = made()
    with pytest.raises(Forbidden) as here:
        redeem(kept, other, ANN, now_s=NOW_S)
    with pytest.raises(Forbidden) as nowhere:
        redeem(None, word, ANN, now_s=NOW_S)
    assert str(here.value) == str(nowhere.value)
    assert refused(kept, "") == "bootstrap_unknown"


def test_the_word_ends_to_the_second():
    word, kept = made()
    assert redeem(kept, word, ANN, now_s=NOW_S + LIFETIME_S - 1)
    assert refused(kept, word, now_s=NOW_S + LIFETIME_S) == "bootstrap_expired"


@pytest.mark.parametrize(
    "subject",
    ["", "ann", "user:", "user:corp", "user:corp:", "operator:root", "user:Corp:ann", "user:corp:a\n", "service-account:sales/nightly", "user:corp:" + "a" * 600],
)  # fmt: skip
def test_only_people_and_groups_are_made_administrators(subject: str):
    word, kept = made()
    with pytest.raises(Invalid):
        redeem(kept, word, subject, now_s=NOW_S)
    assert redeem(kept, word, "group:corp:admins", now_s=NOW_S)
