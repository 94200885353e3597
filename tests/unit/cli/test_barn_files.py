"""`runi barn check` and `runi barn repair`, as they are called: what they print, what they end with, what they never do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.cli.exits import ExitCode
from runink.raft.messages import ConfState, Entry, EntryType, HardState, SnapshotMetadata
from runink.storage.disk import RealDisk
from runink.storage.log_storage import begin_directory, open_log_storage
from runink.storage.wal import SEGMENT_BYTES_MIN

GOLDEN = Path(__file__).parents[2] / "golden" / "wal-v1"
SECOND = "wal-0000000000000002"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with a Barn of 150 entries, the last but one known to be committed."""
    disk = RealDisk(tmp_path / "barn")
    begin_directory(disk, SnapshotMetadata(ConfState(voters=(1,))))
    storage, _ = open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)
    for index in range(1, 151):
        entry = Entry(1, index, EntryType.EntryNormal, bytes([index]) * 20)
        storage.save([entry], HardState(1, 1, index - 1))
    storage.close()
    disk.shut()
    return tmp_path


def damage(state: Path) -> int:
    """Turn a bit of the third batch of the second segment over, and return where that begins."""
    path = state / "barn" / SECOND
    data = bytearray(path.read_bytes())
    place = -1
    for _ in range(3):
        place = data.find(b"RBAT", place + 1)
    data[place + 30] ^= 1
    path.write_bytes(data)
    return place


def files(state: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (state / "barn").iterdir()}


def test_a_whole_barn_is_told_in_a_table(state: Path, capsys: pytest.CaptureFixture[str]):
    assert called(["barn", "check", str(state)]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert f"{SECOND} " in out
    assert "log: entries 1 to 150; term 1, vote 1, 149 known to be committed" in out
    assert out.endswith(f"{state}/barn: whole\n")


def test_a_barn_of_version_1_is_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(GOLDEN, tmp_path / "barn")
    before = files(tmp_path)
    assert called(["barn", "check", str(tmp_path), "-o", "json"]) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["whole"] is True
    assert {one["version"] for one in told["segments"]} == {1}
    assert told["snapshots"][0]["index"] == 61
    assert told["log"] == {
        "first_index": 44,
        "last_index": 182,
        "term": 3,
        "vote": 1,
        "commit": 182,
    }
    assert files(tmp_path) == before


def test_damage_is_told_with_its_place_and_an_exit_code(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    place = damage(state)
    before = files(state)
    assert called(["barn", "check", str(state)]) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert f"damaged: {SECOND} at offset {place}: a batch is damaged" in out
    assert called(["barn", "check", str(state), "-o", "json"]) == ExitCode.FAILED
    told = json.loads(capsys.readouterr().out)
    assert (told["whole"], told["faults"][0]["file"], told["faults"][0]["offset"]) == (
        False,
        SECOND,
        place,
    )
    assert files(state) == before


def test_a_barn_that_runs_is_not_looked_at(state: Path, capsys: pytest.CaptureFixture[str]):
    disk = RealDisk(state / "barn")
    for command in ("check", "repair"):
        assert called(["barn", command, str(state)]) == ExitCode.CONFLICT
        assert "in use by another process" in capsys.readouterr().err
    disk.shut()


def test_a_folder_without_a_barn_is_told_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert called(["barn", "check", str(tmp_path / "nowhere")]) == ExitCode.NOT_FOUND
    assert called(["barn", "repair", str(tmp_path)]) == ExitCode.NOT_FOUND
    assert "there is no Barn in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_repair_mends_a_torn_tail_and_says_so(state: Path, capsys: pytest.CaptureFixture[str]):
    path = max((state / "barn").glob("wal-*"))
    data = bytearray(path.read_bytes())
    data[len(data.rstrip(b"\0")) - 4] ^= 1
    path.write_bytes(data)
    (state / "barn" / "segment.new").touch()
    assert called(["barn", "repair", str(state)]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "mended: " in out
    assert "unfinished write" in out
    assert called(["barn", "check", str(state)]) == ExitCode.DONE
    assert "note" not in capsys.readouterr().out


def test_repair_leaves_damage_alone_and_says_how_to_go_on(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    damage(state)
    before = files(state)
    assert called(["barn", "repair", str(state)]) == ExitCode.FAILED
    assert "runi barn" in capsys.readouterr().err
    assert files(state) == before


def test_a_cut_says_what_is_lost_keeps_a_copy_and_leaves_a_whole_barn(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    place = damage(state)
    before = files(state)
    where = f"{SECOND}:{place}"
    assert called(["barn", "repair", str(state), "--drop-from", where, "--yes"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert f"A cut of {SECOND} at offset {place} loses" in out
    assert "perhaps also a vote" in out
    assert "entries known to be committed" in out
    copy = state / "barn.before-repair-1"
    assert f"what was there before is in {copy}" in out
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert called(["barn", "check", str(state)]) == ExitCode.DONE


def test_a_cut_is_not_made_without_a_yes(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    place = damage(state)
    before = files(state)
    with open("/dev/null") as nothing:  # noqa: PTH123 - what a program is given that is not asked
        monkeypatch.setattr("sys.stdin", nothing)
        assert called(["barn", "repair", str(state), "--drop-from", f"{SECOND}:{place}"]) != 0
    assert "loses" in capsys.readouterr().out
    assert files(state) == before
    assert not (state / "barn.before-repair-1").exists()


@pytest.mark.parametrize("place", ["", "wal", "wal:", ":5x", f"{SECOND}:-1"])
def test_a_place_that_is_none_is_refused(
    place: str, state: Path, capsys: pytest.CaptureFixture[str]
):
    before = files(state)
    code = called(["barn", "repair", str(state), "--drop-from", place, "--yes"])
    assert code == ExitCode.USAGE
    assert "SEGMENT:OFFSET" in capsys.readouterr().err
    assert files(state) == before


def test_a_cut_is_told_to_programs_too(state: Path, capsys: pytest.CaptureFixture[str]):
    place = damage(state)
    where = f"{SECOND}:{place}"
    assert called(["barn", "repair", str(state), "--drop-from", where, "--yes", "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lost"]["is_blind"] is True
    assert told["lost"]["last_index"] == 150
    assert told["copy"].endswith("barn.before-repair-1")
