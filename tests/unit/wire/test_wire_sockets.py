"""Who may listen where, and what lies in the way."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from runink.errors import Conflict, Forbidden, NotFound, Refused
from runink.wire import sockets


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runink.sock"


def test_a_socket_is_its_users_only_whatever_the_umask(path: Path):
    before = os.umask(0)
    try:
        with sockets.listen_unix(path):
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_path_longer_than_an_address_works(tmp_path: Path):
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    path = folder / "runink.sock"
    with sockets.listen_unix(path) as listener:
        assert stat.S_ISSOCK(path.lstat().st_mode)
        with sockets.connect_unix(path) as ours, listener.accept()[0] as theirs:
            assert sockets.peer_uid(ours) == sockets.peer_uid(theirs) == os.geteuid()
            sockets.check_peer(theirs)


def test_who_is_another_user_is_told_so_by_its_own_side(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    ours = os.geteuid()
    with sockets.listen_unix(path) as listener:
        monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
        with pytest.raises(Forbidden, match=f"is user {ours}") as info:
            sockets.connect_unix(path)
        assert info.value.code == "not_ours"
        with listener.accept()[0] as theirs, pytest.raises(Forbidden) as info:
            sockets.check_peer(theirs)
        assert info.value.code == "wrong_user"


def test_what_a_killed_process_left_is_replaced(path: Path):
    sockets.listen_unix(path).close()  # closed and not taken away, as by a kill
    assert path.exists()
    with sockets.listen_unix(path), sockets.connect_unix(path):
        pass


def test_two_cannot_listen_at_one_path(path: Path):
    with sockets.listen_unix(path), pytest.raises(Conflict) as info:
        sockets.listen_unix(path)
    assert info.value.code == "already_listening"


def test_a_file_in_the_way_is_left_alone(path: Path):
    path.write_text("precious")
    with pytest.raises(Refused, match="no socket"):
        sockets.listen_unix(path)
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(Refused) as info:
        sockets.listen_unix(tmp_path / "missing" / "s")
    assert info.value.code == "cannot_listen"


def test_closing_takes_the_name_away_but_not_another_sockets(path: Path):
    listener = sockets.listen_unix(path)
    made = path.lstat()
    path.rename(path.with_suffix(".kept"))  # its inode stays in use, so the next one has another
    with sockets.listen_unix(path):
        sockets.unlink_unix(listener, path, made=made)
        assert path.exists()
    listener = sockets.listen_unix(path)
    sockets.unlink_unix(listener, path, made=path.lstat())
    assert not path.exists()


@pytest.mark.parametrize("name", ["runink.sock", "missing/s", "missing/" + "x" * 100])
def test_nobody_listening_is_not_found(tmp_path: Path, name: str):
    with pytest.raises(NotFound) as info:
        sockets.connect_unix(tmp_path / name)
    assert info.value.code == "nobody_listens"
    assert "runi up" in info.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.8.8.8"])
def test_loopback_may_be_listened_on_without_tls(host: str):
    sockets.check_may_listen(host, has_tls=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "", "localhost", "node-1"])
def test_anything_else_needs_tls(host: str):
    with pytest.raises(Refused) as info:
        sockets.check_may_listen(host, has_tls=False)
    assert info.value.code == "tls_required"
    sockets.check_may_listen(host, has_tls=True)


def test_a_port_that_is_taken_is_told():
    with sockets.listen_tcp("127.0.0.1", 0) as listener:
        assert listener.family == socket.AF_INET
        with pytest.raises(Refused) as info:
            sockets.listen_tcp("127.0.0.1", listener.getsockname()[1])
    assert info.value.code == "cannot_listen"
