"""A herd's key: made once, the same ever after, for its owner alone, and never guessed at where it is damaged."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from runink.errors import Refused
from runink.masking_keys import KEY_BYTES, masking_key
from runink.names import HerdName

HERD = HerdName("analytics")


def test_a_key_is_made_once(tmp_path):
    key = masking_key(tmp_path, HERD)
    assert len(key.data) == KEY_BYTES
    assert masking_key(tmp_path, HERD) == key
    assert masking_key(tmp_path, HerdName("other")) != key
    names = [path.name for path in (tmp_path / "keys").iterdir()]
    assert sorted(names) == ["analytics.key", "other.key"]


def test_a_key_is_its_owners_alone(tmp_path):
    masking_key(tmp_path, HERD)
    folder = tmp_path / "keys"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "analytics.key")]
    assert modes == [0o700, 0o600]


def test_two_who_need_it_at_once_get_the_same(tmp_path):
    (tmp_path / "keys").mkdir()
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: masking_key(tmp_path, HERD).data, range(8)))
    assert len(found) == 1


def test_a_key_that_was_put_there_is_taken(tmp_path):
    path = tmp_path / "keys" / "analytics.key"
    path.parent.mkdir()
    path.write_text("  " + "aB" * 32 + "\n\n")
    path.chmod(0o600)
    assert masking_key(tmp_path, HERD).data == b"\xab" * 32


@pytest.mark.parametrize("content", ["", "aa" * 31, "xy" * 32, "aa" * 2000, "\udcff" * 64])
def test_what_is_no_key_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "keys" / "analytics.key"
    path.parent.mkdir()
    path.write_bytes(content.encode(errors="surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(Refused, match="holds no key"):
        masking_key(tmp_path, HERD)
    assert path.read_bytes() == content.encode(errors="surrogateescape")


def test_a_key_that_others_may_read_is_refused(tmp_path):
    masking_key(tmp_path, HERD)
    (tmp_path / "keys" / "analytics.key").chmod(0o640)
    with pytest.raises(Refused, match="can be read by others"):
        masking_key(tmp_path, HERD)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "analytics.key").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="symbolic links"):
        masking_key(tmp_path, HERD)
