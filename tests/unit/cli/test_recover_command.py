"""`runi barn recover`, as it is called: what it says before, what it asks, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from runink.barn import image
from runink.barn.commands import GrantLease, NameCluster, Proposal, Put, encode_proposal
from runink.barn.store import Store
from runink.cli.commands import called
from runink.cli.exits import ExitCode
from runink.config import IDENTITY, Identity
from runink.raft.messages import ConfState, Entry, HardState, SnapshotMetadata
from runink.storage.disk import RealDisk
from runink.storage.log_storage import begin_directory, open_log_storage

COMMANDS = (NameCluster("old"), GrantLease(60_000), Put("/a", b"1"), Put("/b", b"2"))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder of member 3 of three: entries up to 6 of term 2, of which it knows 4 to be committed."""
    store = Store()
    store.skip(term=1, index=1)
    disk = RealDisk(tmp_path / "barn")
    begin_directory(
        disk, SnapshotMetadata(ConfState(voters=(1, 2, 3)), 1, 1), image.encode(store.image())
    )
    storage, _ = open_log_storage(disk)
    entries = [
        Entry(2, index, data=encode_proposal(Proposal("", 0, command)))
        for index, command in enumerate(COMMANDS, start=3)
    ]
    storage.save([Entry(2, 2), *entries], HardState(4, 1, 4))
    storage.close()
    disk.shut()
    name(tmp_path, 3)
    return tmp_path


def name(state: Path, member: int) -> None:
    (state / IDENTITY).write_bytes(msgspec.json.encode(Identity("runink", member)))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_says_what_there_is_and_what_will_be_and_does_nothing_without_a_yes(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    before = files(state / "barn")
    with open("/dev/null") as nothing:  # noqa: PTH123 - what a program is given that is not asked
        monkeypatch.setattr("sys.stdin", nothing)
        assert called(["barn", "recover", str(state)]) != ExitCode.DONE
    out = capsys.readouterr().out
    for text in (
        "member 3 of cluster old",
        "voters 1, 2, 3",
        "ends with entry 6 of term 2; 4 are known to be committed; term 4",
        "revision 2, 2 keys, 1 lease",
        "2 at its end, will count",
        "behind entry 6, is lost",
        "must never be started again",
        "--bump-revision",
    ):
        assert text in out
    assert files(state / "barn") == before
    assert [path.name for path in state.iterdir() if path.name.startswith("barn.")] == []


def test_it_keeps_a_copy_and_leaves_a_group_of_one_that_a_second_call_leaves_alone(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    before = files(state / "barn")
    assert called(["barn", "recover", str(state), "--yes"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert f"what was there before is in {state}/barn.before-recovery-1" in out
    assert "member 3 is the only one of cluster " in out
    assert files(state / "barn.before-recovery-1") == before
    assert called(["barn", "check", str(state)]) == ExitCode.DONE
    assert "note" not in capsys.readouterr().out
    after = files(state / "barn")
    assert called(["barn", "recover", str(state), "--yes"]) == ExitCode.DONE
    assert "is a group of one already" in capsys.readouterr().out
    assert files(state / "barn") == after
    assert not (state / "barn.before-recovery-2").exists()


def test_programs_are_told_the_same(state: Path, capsys: pytest.CaptureFixture[str]):
    words = ["barn", "recover", str(state), "--yes", "-o", "json", "--bump-revision", "1000"]
    assert called(words) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["recovered"], told["member"], told["voters"]) == (True, 3, [1, 2, 3])
    assert (told["last_index"], told["last_term"], told["term"]) == (6, 2, 4)
    assert (told["commit"], told["taken_in"], told["revision"]) == (4, 2, 2)
    assert (told["new"]["index"], told["new"]["revision"]) == (7, 1002)
    assert told["new"]["cluster"] != told["cluster"] == "old"
    assert called(words) == ExitCode.DONE
    again = json.loads(capsys.readouterr().out)
    assert (again["recovered"], again["voters"]) == (False, [3])
    assert (again["cluster"], again["revision"]) == (told["new"]["cluster"], 1002)


def test_a_member_that_runs_is_left_alone(state: Path, capsys: pytest.CaptureFixture[str]):
    disk = RealDisk(state / "barn")
    before = files(state / "barn")
    assert called(["barn", "recover", str(state), "--yes"]) == ExitCode.CONFLICT
    assert "in use by another process" in capsys.readouterr().err
    assert files(state / "barn") == before
    disk.shut()


def test_damage_is_refused_and_left_as_it_is(state: Path, capsys: pytest.CaptureFixture[str]):
    path = min((state / "barn").glob("snapshot-*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    before = files(state / "barn")
    assert called(["barn", "recover", str(state), "--yes"]) == ExitCode.FAILED
    assert "damaged" in capsys.readouterr().err
    assert files(state / "barn") == before


def test_a_folder_that_does_not_say_which_member_it_is_of_is_refused(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    (state / IDENTITY).unlink()
    before = files(state / "barn")
    assert called(["barn", "recover", str(state), "--yes"]) == ExitCode.FAILED
    assert "no_identity" in capsys.readouterr().err
    assert files(state / "barn") == before


def test_a_member_that_was_removed_is_told_to_be_one(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    name(state, 9)
    assert called(["barn", "recover", str(state), "--yes"]) == ExitCode.DONE
    assert "this one, 9, was removed" in capsys.readouterr().out


def test_a_copy_that_was_cut_off_is_not_taken_for_one(state: Path):
    (state / "barn.before-recovery-1.begun").mkdir()
    (state / "barn.before-recovery-1.begun" / "half").touch()
    before = files(state / "barn")
    assert called(["barn", "recover", str(state), "--yes"]) == ExitCode.DONE
    assert files(state / "barn.before-recovery-1") == before
    assert not (state / "barn.before-recovery-1.begun").exists()
