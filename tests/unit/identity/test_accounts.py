"""Programs and their secrets: several at once, kept as hashes, told apart by nothing that a clock could show."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.errors import Conflict, Invalid, NotFound
from runink.identity.accounts import (
    ID_BYTES,
    PREFIX,
    SECRET_BYTES,
    SECRET_LIFETIME_MS_MAX,
    SECRETS_MAX,
    SecretWord,
    ServiceAccount,
    client_of,
    secret_shown,
    with_new_secret,
    without_secret,
)
from runink.names import AccountName, HerdName

NOW_MS = 1_800_000_000_000
ACCOUNT = ServiceAccount(herd=HerdName("sales"), name=AccountName("nightly"))


def renewed(
    account: ServiceAccount, *, now_ms: int = NOW_MS, lifetime_ms: int = 1_000
) -> tuple[ServiceAccount, SecretWord]:
    entropy = os.urandom(ID_BYTES + SECRET_BYTES)
    return with_new_secret(account, entropy=entropy, by="operator:root", now_ms=now_ms, lifetime_ms=lifetime_ms)  # fmt: skip


def test_a_secret_is_known_again_and_no_other_is():
    account, word = renewed(ACCOUNT)
    found = secret_shown(account, str(word), now_ms=NOW_MS)
    assert found is not None
    assert (found.id, found.last) == (word.id, str(word)[-4:])
    other = SecretWord(word.id, os.urandom(SECRET_BYTES))
    for shown in (str(other), "", PREFIX, str(word)[:-1], str(word) + "A", str(word).replace(word.id, "0" * 8)):  # fmt: skip
        assert secret_shown(account, shown, now_ms=NOW_MS) is None


def test_a_secret_has_one_spelling():
    account, word = renewed(ACCOUNT)
    text = str(word)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = [one for one in letters if secret_shown(account, text[:-1] + one, now_ms=NOW_MS)]
    assert good == [text[-1]]


def test_old_and_new_are_good_together_until_the_old_one_is_taken_back():
    account, old = renewed(ACCOUNT)
    account, new = renewed(account)
    assert secret_shown(account, str(old), now_ms=NOW_MS)
    assert secret_shown(account, str(new), now_ms=NOW_MS)
    account = without_secret(account, old.id)
    assert secret_shown(account, str(old), now_ms=NOW_MS) is None
    assert secret_shown(account, str(new), now_ms=NOW_MS)
    with pytest.raises(NotFound) as info:
        without_secret(account, old.id)
    assert info.value.code == "no_such_secret"


def test_a_secret_ends_to_the_millisecond_and_makes_room_then():
    account, word = renewed(ACCOUNT, lifetime_ms=1_000)
    assert secret_shown(account, str(word), now_ms=NOW_MS + 999)
    assert secret_shown(account, str(word), now_ms=NOW_MS + 1_000) is None
    for _ in range(SECRETS_MAX - 1):
        account, _ = renewed(account)
    with pytest.raises(Conflict) as info:
        renewed(account)
    assert info.value.code == "too_many_secrets"
    account, _ = renewed(account, now_ms=NOW_MS + 1_000)
    assert len(account.secrets) == 1


def test_a_disabled_account_and_one_that_is_not_there_show_no_secret():
    account, word = renewed(ACCOUNT)
    disabled = msgspec.structs.replace(account, is_disabled=True)
    assert secret_shown(disabled, str(word), now_ms=NOW_MS) is None
    assert secret_shown(None, str(word), now_ms=NOW_MS) is None


def test_no_record_and_no_text_of_a_value_holds_a_secret():
    account, word = renewed(ACCOUNT)
    hidden = str(word).rpartition(".")[2]
    assert hidden not in msgspec.json.encode(account).decode()
    assert hidden not in repr(account) + repr(word)
    assert account.secrets[0].sha256 not in repr(account)


@pytest.mark.parametrize("lifetime_ms", [0, -1, SECRET_LIFETIME_MS_MAX + 1])
def test_a_secret_lives_for_a_while(lifetime_ms: int):
    with pytest.raises(Invalid) as info:
        renewed(ACCOUNT, lifetime_ms=lifetime_ms)
    assert info.value.code == "bad_lifetime"


@given(st.text(max_size=120))
def test_whatever_text_is_shown_it_is_a_secret_or_none(shown: str):
    account, _ = renewed(ACCOUNT)
    assert secret_shown(account, shown, now_ms=NOW_MS) is None


@pytest.mark.parametrize("client", ["", "sales", "/nightly", "sales/", "Sales/nightly", "a/b/c"])
def test_a_client_is_a_herd_and_a_name(client: str):
    assert client_of("sales/nightly") == ("sales", "nightly")
    with pytest.raises(Invalid):
        client_of(client)
