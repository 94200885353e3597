"""Claims on bases of cgroups: who may remove what.  The cgroups are plain folders here; those of the kernel have a test in tests/cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.sandbox.cgroup_claims import NAMES_MAX, Claim, claimed, clear_unclaimed


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "claims")


def a_base(tmp_path: Path, name: str) -> Path:
    base = tmp_path / "cgroups" / name
    (base / "herd" / "c1").mkdir(parents=True)
    return base


def claims(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def take(folder: str, name: str, *bases: Path) -> Claim:
    claim = claimed(name, folder=folder, within_s=0)
    claim.write([str(base) for base in bases])
    return claim


def test_a_claim_says_where_the_base_is_and_where_processes_had_to_go(folder, tmp_path):
    claim = take(folder, "base", tmp_path / "base")
    assert claim.directories() == [f"{tmp_path}/base", f"{tmp_path}/base.leaf"]
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    claim.close()


def test_what_is_given_up_in_order_leaves_nothing(folder):
    take(folder, "base").remove()
    assert claims(folder) == []


def test_where_processes_had_to_move_the_claim_outlives_its_base(folder, tmp_path):
    leaf = a_base(tmp_path, "base.leaf")
    take(folder, "base", tmp_path / "cgroups" / "base").give_up()
    assert claims(folder) == ["base"]
    assert clear_unclaimed(folder=folder) == ["base"]
    assert not leaf.exists()
    take(folder, "base", tmp_path / "cgroups" / "base").give_up()
    assert claims(folder) == []


def test_whoever_starts_clears_what_nobody_claims(folder, tmp_path):
    base, leaf = a_base(tmp_path, "dead"), a_base(tmp_path, "dead.leaf")
    take(folder, "dead", base).close()
    live = a_base(tmp_path, "live")
    ours = take(folder, "live", live)
    assert clear_unclaimed(folder=folder) == ["dead"]
    assert not base.exists()
    assert not leaf.exists()
    assert (live / "herd" / "c1").exists()
    assert claims(folder) == ["live"]
    ours.close()


def test_where_a_process_is_left_the_claim_stays_for_the_next(folder, tmp_path):
    base = a_base(tmp_path, "dead")
    take(folder, "dead", base).close()
    (base / "herd" / "c1" / "cgroup.procs").write_text("17\n")
    assert clear_unclaimed(folder=folder) == []
    assert (base / "herd" / "c1").exists()
    (base / "herd" / "c1" / "cgroup.procs").unlink()
    assert clear_unclaimed(folder=folder) == ["dead"]
    assert not base.exists()


def test_a_claim_that_was_left_before_its_base_was_made_goes_too(folder, tmp_path):
    take(folder, "written", tmp_path / "nowhere" / "written").close()
    take(folder, "empty").close()
    assert clear_unclaimed(folder=folder) == ["empty", "written"]


def test_nothing_is_removed_that_is_not_named_as_its_claim_is(folder, tmp_path):
    other, within = a_base(tmp_path, "other"), a_base(tmp_path, "other-dead")
    take(folder, "dead", other, within, other / "herd").close()
    assert clear_unclaimed(folder=folder) == ["dead"]
    assert (other / "herd" / "c1").exists()
    assert (within / "herd" / "c1").exists()


def test_the_next_at_a_place_takes_over_what_is_not_held_any_more(folder, tmp_path):
    take(folder, "base", tmp_path / "base").close()
    again = claimed("base", folder=folder, within_s=0)
    assert again.name == "base"
    assert again.directories()[0] == f"{tmp_path}/base"
    again.write([str(tmp_path / "elsewhere" / "base")])
    assert again.directories()[0] == f"{tmp_path}/elsewhere/base"
    again.close()


def test_where_one_lives_the_next_has_a_base_of_its_own(folder):
    held = [take(folder, "base") for _ in range(NAMES_MAX)]
    assert [one.name for one in held] == ["base", *(f"base-{n}" for n in range(2, NAMES_MAX + 1))]
    with pytest.raises(BlockingIOError):
        claimed("base", folder=folder, within_s=0)
    held[3].remove()
    assert take(folder, "base").name == "base-4"
    for one in held[:3] + held[4:]:
        one.close()


def test_a_folder_that_is_not_to_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        claimed("base", folder=str(tmp_path / "file" / "claims"))
