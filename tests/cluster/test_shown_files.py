"""Links, and files of other users, as slices that see only what they are shown find them: they work, or are told; no row is lost without a word."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runi_project import RUN_S_MAX, Project, Said, proc_text

IN = "a,b\n1,x\n2,y\n"
STRANGER = 54_321  # a user that is not the one who runs the node


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of the project, with a file in it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "x.csv").write_text(IN)
    return folder


def piped(project: Project, source: str) -> Said:
    """Run a pipeline from this source to out/o.jsonl."""
    project.pipeline(f'@source("csv://{source}")\n@sink("jsonl://out/o.jsonl")')
    return project.run()


def check_rows(project: Project, said: Said, count: int) -> None:
    assert said.code == 0, said
    assert len(project.rows("out/o.jsonl")) == count


def check_refused(said: Said, code: str, *words: str) -> None:
    assert said.code == 1, said
    assert said.error["code"] == code, said
    for word in words:
        assert word in f"{said.error['text']} {said.error['hint']}", said


def test_a_source_that_is_a_link_is_read_from_where_it_leads(project: Project, elsewhere: Path):
    project.write("data/in.csv", IN)
    (project.root / "data/linked.csv").symlink_to(elsewhere / "x.csv")
    check_rows(project, piped(project, "data/linked.csv"), 2)


def test_a_folder_that_is_a_link_holds_sources_by_name_and_by_pattern(
    project: Project, elsewhere: Path
):
    (project.root / "data").symlink_to(elsewhere)
    check_rows(project, piped(project, "data/x.csv"), 2)
    (elsewhere / "y.csv").symlink_to(elsewhere / "x.csv")
    check_rows(project, piped(project, "data/*.csv"), 4)


def test_a_source_that_is_a_link_to_nothing_is_told_with_where_it_leads(
    project: Project, elsewhere: Path
):
    project.write("data/in.csv", IN)
    (project.root / "data/linked.csv").symlink_to(elsewhere / "gone.csv")
    said = piped(project, "data/linked.csv")
    check_refused(said, "source_not_found", "data/linked.csv", str(elsewhere / "gone.csv"))


@pytest.mark.parametrize(
    ("link", "leads_to", "source"),
    [
        ("data/linked.csv", "x.csv", "data/*.csv"),
        ("data/linked", "", "data/*/x.csv"),
        ("data/linked", "", "data/**/x.csv"),
        ("data/part-1.csv", "x.csv", "data"),
    ],
)
def test_a_link_that_leads_out_of_what_is_shown_is_refused_and_not_left_out(
    project: Project, elsewhere: Path, link: str, leads_to: str, source: str
):
    project.write("data/a/x.csv", IN)
    project.write("data/in.csv", IN)
    project.write("data/part-0.csv", IN)
    (project.root / link).symlink_to(elsewhere / leads_to)
    said = piped(project, source)
    check_refused(said, "source_link", link, str(elsewhere / leads_to), "source of its own")
    assert project.files("out") == []


def test_a_sink_that_is_a_link_to_a_link_is_written_where_they_lead(
    project: Project, elsewhere: Path
):
    project.write("data/in.csv", IN)
    project.write("middle/keep", "")
    project.write("out/keep", "")
    (project.root / "out/o.jsonl").symlink_to("../middle/o.jsonl")
    (project.root / "middle/o.jsonl").symlink_to(elsewhere / "o.jsonl")
    (elsewhere / "o.jsonl").write_text("of an earlier run\n")
    check_rows(project, piped(project, "data/in.csv"), 2)
    assert (project.root / "out/o.jsonl").is_symlink()
    assert len((elsewhere / "o.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("source", "sink"),
    [
        ("/*.csv", "out/o.jsonl"),
        ("/proc/meminfo", "out/o.jsonl"),
        ("/dev/shm/*.csv", "out/o.jsonl"),
        ("data/in.csv", "/runink-test.jsonl"),
        ("data/in.csv", "/dev/shm/runink-test.jsonl"),
    ],
)
def test_what_a_slice_has_of_its_own_is_not_shown_to_it_and_the_run_says_so(
    project: Project, source: str, sink: str
):
    project.write("data/in.csv", IN)
    project.pipeline(f'@source("csv://{source}")\n@sink("jsonl://{sink}")')
    check_refused(project.run(), "place_not_shown", "cannot be shown to a slice")


def test_a_file_that_is_missing_in_the_root_folder_is_told(project: Project):
    check_refused(piped(project, "/runink-test-gone.csv"), "source_not_found")


def given_away(path: Path, mode: int) -> None:
    """Have a file or folder belong to somebody else, with this mode."""
    path.chmod(mode)
    os.chown(path, STRANGER, STRANGER)


@pytest.mark.parametrize("source", ["data/in.csv", "data/*.csv"])
def test_a_file_that_only_another_user_may_read_is_refused_with_what_helps(
    project: Project, source: str
):
    given_away(project.write("data/in.csv", IN), 0o600)
    check_refused(piped(project, source), "source_forbidden", "data/in.csv", "chmod o+r")
    given_away(project.root / "data/in.csv", 0o604)
    check_rows(project, piped(project, source), 2)


@pytest.mark.parametrize("source", ["data/own/gone.csv", "data/own/*.csv", "data/*/*.csv"])
def test_a_folder_that_only_another_user_may_look_into_is_refused_and_not_left_out(
    project: Project, source: str
):
    project.write("data/all/in.csv", IN)
    given_away(project.write("data/own/in.csv", IN).parent, 0o700)
    said = piped(project, source)
    check_refused(said, "source_forbidden", source, "data/own", "o+rx for a folder")


def test_a_folder_that_only_another_user_may_write_in_is_refused_with_what_helps(project: Project):
    project.write("data/in.csv", IN)
    before = project.write("out/o.jsonl", "of an earlier run\n")
    given_away(before.parent, 0o755)
    said = piped(project, "data/in.csv")
    check_refused(said, "sink_forbidden", "out/o.jsonl", "belong to the user and the group")
    assert before.read_text() == "of an earlier run\n"
    assert project.files("out") == ["out/o.jsonl"]


@pytest.mark.parametrize(("user", "group"), [(STRANGER, STRANGER), (0, STRANGER)])
def test_a_file_of_another_user_or_group_is_not_replaced_and_the_run_says_so_before_it_publishes(
    project: Project, user: int, group: int
):
    project.write("data/in.csv", IN)
    before = project.write("out/o.jsonl", "of an earlier run\n")
    os.chown(before, user, group)
    project.pipeline(
        '@source("csv://data/in.csv")\n@sink("jsonl://out/n.jsonl")\n@sink("jsonl://out/o.jsonl")'
    )
    check_refused(project.run(), "sink_forbidden", "out/o.jsonl", "the user and the group")
    assert before.read_text() == "of an earlier run\n"
    assert project.files("out") == ["out/o.jsonl"]


@pytest.fixture
def ours() -> Iterator[Project]:
    """A project of an ordinary user beside a folder that only root may look into."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "private").mkdir(mode=0o700)
        (folder / "private/x.csv").write_text(IN)
        project = Project(folder / "ours")
        project.write("runink.toml", "")
        project.write("data/in.csv", IN)
        project.pipeline("@source")
        for path in (project.root, *project.root.rglob("*")):
            os.chown(path, STRANGER, STRANGER)
        yield project


@pytest.mark.parametrize(
    ("source", "sink", "code"),
    [
        ("data/in.csv", "out/o.jsonl", ""),
        ("{private}/x.csv", "out/o.jsonl", "source_forbidden"),
        ("{private}/gone.csv", "out/o.jsonl", "source_forbidden"),
        ("{private}/*.csv", "out/o.jsonl", "source_forbidden"),
        ("data/in.csv", "{private}/o.jsonl", "sink_forbidden"),
    ],
)
def test_what_an_ordinary_user_of_the_node_has_no_right_to_is_told(
    ours: Project, source: str, sink: str, code: str
):
    private = str(ours.root.parent / "private")
    source, sink = source.format(private=private), sink.format(private=private)
    ours.pipeline(f'@source("csv://{source}")\n@sink("jsonl://{sink}")')
    said = ours.run(user=STRANGER, group=STRANGER, extra_groups=())
    if code:
        check_refused(said, code, private, "belong to the user")
    else:
        check_rows(ours, said, 2)


def test_the_fork_server_of_an_ordinary_user_has_no_rights_over_what_it_made(ours: Project):
    ours.pipeline('@source("csv://data/in.csv")\n@sink("jsonl://out/o.jsonl")')
    as_stranger: dict[str, Any] = {"user": STRANGER, "group": STRANGER, "extra_groups": ()}
    up = ours.popen("up", **as_stranger)
    try:
        assert up.stderr is not None
        assert up.stderr.readline().startswith(b"ready")
        check_rows(ours, ours.run(**as_stranger), 2)
        texts = [proc_text(pid, "status") for pid in ours.processes()]
        (fork_server,) = (text for text in texts if text.startswith("Name:\truni-forkserver"))
        told = dict(line.split(":\t", 1) for line in fork_server.splitlines() if ":\t" in line)
        assert {int(told[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    finally:
        up.terminate()
        up.communicate(timeout=RUN_S_MAX)
