"""Logins that are kept: which token is borne, when a renewal is asked for, and who waits for whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.cli.contexts import Login, login_folder
from runink.cli.logins import EARLY_MS, KeptLogin, LoggedIn, kept, locked, read_login, write_login
from runink.clock import now_ms
from runink.errors import Forbidden, Invalid, TimedOut, Unavailable
from runink.identity.flow_answers import Tokens

LOGIN = Login("http://127.0.0.1:1", "runi")  # nobody is there
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_a_token_that_is_good_is_borne_and_the_provider_not_asked() -> None:
    write_login("prod", KeptLogin(LOGIN, "good", "refresh", now_ms() + HOUR_MS))
    assert LoggedIn("prod").token("") == "good"
    write_login("prod", KeptLogin(LOGIN, "endless"))
    assert LoggedIn("prod").token("") == "endless"


def test_a_token_that_ends_or_was_not_taken_is_renewed() -> None:
    for login, refused in (
        (KeptLogin(LOGIN, "old", "refresh", now_ms() + EARLY_MS // 2), ""),
        (KeptLogin(LOGIN, "refused", "refresh", now_ms() + HOUR_MS), "refused"),
    ):
        write_login("prod", login)
        with pytest.raises(Unavailable) as nobody:
            LoggedIn("prod").token(refused)
        assert nobody.value.code == "not_connected"
        assert read_login("prod") == login


def test_a_login_that_cannot_be_renewed_has_ended() -> None:
    write_login("prod", KeptLogin(LOGIN, "old", "", 1))
    with pytest.raises(Forbidden) as ended:
        LoggedIn("prod").token("")
    assert ended.value.code == "login_again"
    assert LoggedIn("prod").token("old") == "old"  # the server says what is wrong with it
    with pytest.raises(Forbidden) as nobody:
        LoggedIn("other").token("")
    assert nobody.value.code == "login_needed"


def test_a_token_that_another_command_has_brought_meanwhile_is_borne() -> None:
    write_login("prod", KeptLogin(LOGIN, "new", "refresh", now_ms() + HOUR_MS))
    assert LoggedIn("prod").token("old") == "new"


def test_one_command_at_a_time_has_a_login_to_itself() -> None:
    with locked("prod"):
        with pytest.raises(TimedOut) as busy, locked("prod", within_s=0.01):
            pass
        assert busy.value.code == "login_locked"
        with locked("other"):
            pass
    with locked("prod"):
        pass


def test_when_a_token_ends_is_reckoned_from_when_it_was_asked_for() -> None:
    tokens = Tokens(access_token="a", refresh_token="r", expires_s=60)
    assert kept(LOGIN, tokens, at_ms=1_000) == KeptLogin(LOGIN, "a", "r", 61_000)
    assert kept(LOGIN, Tokens(access_token="a"), at_ms=1_000).until_ms == 0


def test_a_file_that_cannot_be_read_is_told_without_what_is_in_it() -> None:
    write_login("prod", KeptLogin(LOGIN, "secret"))
    path = login_folder() / "prod.json"
    path.write_text('{"login": 7, "access_token": "secret"')
    with pytest.raises(Invalid) as broken:
        read_login("prod")
    assert "secret" not in str(broken.value)
    assert broken.value.__suppress_context__
    assert "secret" not in repr(KeptLogin(LOGIN, "secret", "secret"))
