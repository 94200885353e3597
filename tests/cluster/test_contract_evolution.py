"""`runi contract diff`, `bump`, `publish`, `history` and `catalog` on a project with a git repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.cli.exits import ExitCode

TEXT = '''from typing import Annotated, Literal
from runink import Contract, Field


class Ticket(Contract, version="1.0.0"):
    """One ticket sold."""

    number: Annotated[int, Field(ge=1, le=99999)]
    origin: Literal["EWR", "JFK"]
    email: Annotated[str, Field(max_length=20, pii="email")]
'''
TICKET = "contracts/tickets.py:Ticket"
ROWS = (
    "number,origin,email\n1,EWR,ann@example.org\n500,JFK,bob@example.org\nx,JFK,eve@example.org\n"
)


def git(root: Path, *words: str) -> None:
    identity = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("contracts", "herds"):
        (tmp_path / folder).mkdir()
    (tmp_path / "contracts/tickets.py").write_text(TEXT)
    (tmp_path / "herds/sales.toml").write_text('[herd]\nid = "sales"\n')
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "tickets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(project: Path, *pairs: tuple[str, str]) -> None:
    text = (project / "contracts/tickets.py").read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (project / "contracts/tickets.py").write_text(text)


TIGHTER = ("le=99999", "le=99")
WIDER = ("le=99999", "le=999999")


def test_a_file_is_compared_with_what_it_was(project: Path, capsys: pytest.CaptureFixture[str]):
    change(project, TIGHTER)
    assert called(["contract", "diff", "--git", "HEAD", TICKET]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Ticket 1.0.0 → 1.0.0",
        "  - number: maximum: at most 99999 → at most 99  [breaks backward]",
        "      the old one takes what the new one rejects: number is 99999, not at most 99",
        "the new one takes fewer rows",
        "backward: 1 breaking change",
        "asks for a major bump: 1.0.0 → 2.0.0",
    ]


def test_a_check_fails_on_what_breaks_its_mode_alone(project: Path):
    change(project, TIGHTER)
    words = ["contract", "diff", "--git", "HEAD", "--check", TICKET, "--mode"]
    assert called([*words, "backward"]) == ExitCode.INVALID
    assert called([*words, "full"]) == ExitCode.INVALID
    assert called([*words, "forward"]) == 0
    assert called([*words, "none"]) == 0


def test_stored_rows_are_counted_by_what_rejects_them(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    change(project, TIGHTER, (', pii="email"', ""), ("max_length=20", "max_length=5"))
    (project / "old.csv").write_text(ROWS)
    words = ["contract", "diff", "--git", "HEAD", TICKET, "--against", "old.csv", "-o", "json"]
    assert called(words) == 0
    held = json.loads(capsys.readouterr().out)["against"]
    assert (held["rows"], held["rejected_by_old"], held["rejected_by_new"]) == (3, 1, 3)
    reasons = {(one["field"], one["rule"]): one["rows"] for one in held["reasons"]}
    assert reasons == {("email", "max_length"): 3, ("number", "type"): 1, ("number", "le"): 1}
    # What either version calls personal is shown by none.
    assert "example.org" not in str(held)


def test_a_file_without_a_needed_column_is_refused_as_a_whole(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    change(project, ("    email", "    seat: str\n    email"))
    (project / "old.csv").write_text(ROWS)
    assert called(["contract", "diff", "--git", "HEAD", TICKET, "--against", "old.csv"]) == 0
    assert "the new one refuses all of it" in capsys.readouterr().out


def test_a_bump_writes_the_version_that_is_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    change(project, WIDER)
    path = project / "contracts/tickets.py"
    mode = path.stat().st_mode
    assert called(["contract", "bump", "--check", TICKET]) == ExitCode.INVALID
    assert "ask for 1.1.0 at least" in capsys.readouterr().err
    assert called(["contract", "bump", TICKET]) == 0
    assert capsys.readouterr().out == "Ticket 1.0.0 (HEAD) → 1.1.0: a minor bump\n"
    assert path.read_text() == TEXT.replace(*WIDER).replace("1.0.0", "1.1.0")
    assert path.stat().st_mode == mode
    assert called(["contract", "bump", "--check", TICKET]) == 0
    assert called(["contract", "bump", TICKET]) == 0
    assert capsys.readouterr().out.endswith("nothing to write\n")


def test_a_part_may_be_raised_by_will(project: Path):
    assert called(["contract", "bump", "--part", "major", TICKET]) == 0
    assert 'version="2.0.0"' in (project / "contracts/tickets.py").read_text()


def test_without_git_it_is_told_what_is_missing(project: Path, capsys: pytest.CaptureFixture[str]):
    assert called(["contract", "diff", "--git", "nowhere", TICKET]) == ExitCode.INVALID
    assert "git knows no revision nowhere" in capsys.readouterr().err
    assert called(["contract", "diff", "--git", "--output=x", TICKET]) == ExitCode.INVALID
    assert not (project / "x").exists()


def test_a_class_that_was_not_there_then_is_told(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "contracts/new.py").write_text(TEXT)
    words = ["contract", "diff", "--git", "HEAD", "contracts/new.py:Ticket"]
    assert called(words) == ExitCode.NOT_FOUND
    assert "at HEAD: there is no file contracts/new.py" in capsys.readouterr().err


def test_two_things_to_compare_are_needed(capsys: pytest.CaptureFixture[str]):
    assert called(["contract", "diff", TICKET]) == ExitCode.USAGE
    assert "name NEW too" in capsys.readouterr().err


def test_a_published_version_stays_what_it_is(project: Path, capsys: pytest.CaptureFixture[str]):
    words = ["contract", "publish", TICKET, "-o", "json"]
    assert called(words) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["reference"] == "sales/Ticket@1.0.0"
    assert first["new"]
    assert len(first["commit"]) == 40
    assert not first["dirty"]  # what the cluster keeps is no change
    assert called(words) == 0
    assert not json.loads(capsys.readouterr().out)["new"]
    change(project, WIDER)
    assert called(words) == ExitCode.CONFLICT
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "version_taken"
    assert first["hash"] in error["text"]


def test_versions_live_beside_each_other_and_tell_their_history(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    called(["contract", "publish", TICKET])
    change(project, WIDER)
    called(["contract", "bump", TICKET])
    called(["contract", "publish", TICKET])
    capsys.readouterr()
    assert called(["contract", "history", "Ticket", "-o", "json"]) == 0
    newer, older = json.loads(capsys.readouterr().out)
    assert (newer["version"], newer["previous"], newer["dirty"]) == ("1.1.0", "1.0.0", True)
    assert [one["effect"] for one in newer["changes"]] == ["wider"]
    assert (older["version"], older["previous"], older["dirty"]) == ("1.0.0", None, False)
    assert called(["contract", "diff", "sales/Ticket@1.0.0", "sales/Ticket", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["new_version"] == "1.1.0"
    assert called(["contract", "diff", "sales/Ticket@3.0.0", TICKET]) == ExitCode.NOT_FOUND
    assert "there are 1.0.0, 1.1.0" in capsys.readouterr().err


def test_a_herds_policy_refuses_what_breaks_it(project: Path, capsys: pytest.CaptureFixture[str]):
    called(["contract", "publish", TICKET])
    herd = project / "herds/sales.toml"
    herd.write_text(herd.read_text() + '[contracts]\ncompatibility = "backward"\n')
    change(project, TIGHTER, ("1.0.0", "2.0.0"))
    words = ["contract", "publish", TICKET]
    assert called([*words, "--dry-run"]) == ExitCode.FORBIDDEN
    assert called(words) == ExitCode.FORBIDDEN
    assert "number: maximum: at most 99999 → at most 99" in capsys.readouterr().err
    herd.write_text(herd.read_text() + "breaking_majors = true\n")
    assert called([*words, "--dry-run"]) == 0
    assert "would be published" in capsys.readouterr().out
    assert called(words) == 0


def test_a_policy_that_is_none_is_told(project: Path, capsys: pytest.CaptureFixture[str]):
    herd = project / "herds/sales.toml"
    herd.write_text(herd.read_text() + '[contracts]\ncompatibility = "backwards"\n')
    assert called(["contract", "publish", TICKET]) == ExitCode.INVALID
    assert "did you mean backward?" in capsys.readouterr().err


def test_whose_a_contract_is_must_be_clear(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "herds/other.toml").write_text('[herd]\nid = "other"\n')
    assert called(["contract", "publish", TICKET]) == ExitCode.INVALID
    assert "this project has other, sales" in capsys.readouterr().err
    assert called(["contract", "publish", TICKET, "--herd", "other"]) == 0


def test_the_catalog_knows_the_project_and_the_cluster(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    called(["contract", "publish", TICKET])
    change(project, WIDER)
    (project / "contracts/more.py").write_text(TEXT.replace("Ticket", "Fare"))
    (project / "contracts/broken.py").write_text("import nothing_of_the_kind\n")
    capsys.readouterr()
    assert called(["contract", "catalog", "-o", "json"]) == 0
    said = capsys.readouterr()
    rows = json.loads(said.out)
    assert [(row["name"], row["state"], row["herd"]) for row in rows] == [
        ("Fare", "draft", ""),
        ("Ticket", "differs", "sales"),
    ]
    assert rows[0]["pii"] == {"email": "email"}
    assert "contracts/broken.py cannot be imported" in said.err
    assert called(["contract", "catalog"]) == 0
    assert "email (email)" in capsys.readouterr().out
