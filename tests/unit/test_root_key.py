"""The root key's file: made once by who founds a cluster, read whole, and never guessed at where it is damaged."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from runink.errors import Refused
from runink.root_key import line_of, make_root_key, read_root_keys
from runink.secrets.seal import RootKey


def test_a_root_key_is_made_once_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "trust" / "root.key"
    key = make_root_key(path)
    assert make_root_key(path) == key
    assert read_root_keys(path) == (key,)
    assert key.version == 1
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)] == [0o700, 0o600]
    assert [one.name for one in path.parent.iterdir()] == ["root.key"]


def test_two_who_found_at_once_have_the_same(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: make_root_key(tmp_path / "root.key"), range(8)))
    assert len(found) == 1


def test_the_highest_version_seals_and_older_ones_are_there_to_open(tmp_path):
    path = tmp_path / "root.key"
    keys = [RootKey(version, bytes([version]) * 32) for version in (10, 2, 9)]
    path.touch(0o600)
    path.write_bytes(b"".join(map(line_of, keys)))
    assert [key.version for key in read_root_keys(path)] == [2, 9, 10]


def test_a_root_key_that_is_not_there_is_asked_for_and_not_made(tmp_path):
    with pytest.raises(Refused, match="there is no root key at"):
        read_root_keys(tmp_path / "root.key")
    assert not list(tmp_path.iterdir())


def test_every_digit_counts(tmp_path):
    """The check value finds a digit that was copied wrongly, wherever it is."""
    path = tmp_path / "root.key"
    line = line_of(RootKey(7, bytes(range(32))))
    path.touch(0o600)
    for at in range(len(line) - 1):
        wrong = b"4" if line[at : at + 1] != b"4" else b"5"
        path.write_bytes(line[:at] + wrong + line[at + 1 :])
        with pytest.raises(Refused) as caught:
            read_root_keys(path)
        assert caught.value.code == "root_key"
        assert bytes(range(32)).hex() not in caught.value.text + caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", line_of(RootKey(1, bytes(32))) * 2])
def test_what_is_no_root_key_or_one_twice_is_refused(tmp_path, content):
    path = tmp_path / "root.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(Refused):
        read_root_keys(path)


def test_a_root_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "root.key"
    make_root_key(path)
    path.chmod(0o604)
    with pytest.raises(Refused, match=f"{path} can be read by others") as caught:
        read_root_keys(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_a_link_is_not_followed(tmp_path):
    make_root_key(tmp_path / "elsewhere")
    (tmp_path / "root.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        read_root_keys(tmp_path / "root.key")
