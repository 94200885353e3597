"""Which folders and files a chain is shown where links lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.actors.shown import Shown, shown_to
from runink.dag import Format, Sink, Source
from runink.jobs import ChainJob, Ticket
from runink.names import RunId, SliceId

TICKET = Ticket(RunId("01K9ZZZZZZ0000000000000000"), SliceId("one"), 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a folder and a file in it, beside a folder that is elsewhere."""
    (tmp_path / "project/data").mkdir(parents=True)
    (tmp_path / "project/data/in.csv").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.csv").touch()
    return tmp_path / "project"


def shown(root: Path, *, source: str = "-", sink: str = "-") -> Shown:
    """Return what a slice that reads and writes these is shown."""
    read = Source("s", "one", f"csv://{source}", Format.CSV, source)
    written = Sink("t", "one", f"csv://{sink}", Format.CSV, sink)
    job = ChainJob(TICKET, str(root), "", "", (read, written), ())
    return shown_to(job)


def test_a_source_is_its_file_also_where_that_is_a_link(root: Path) -> None:
    (root / "data/l.csv").symlink_to(root.parent / "elsewhere/x.csv")
    for path in ("data/in.csv", "data/l.csv"):
        assert shown(root, source=path) == {f"{root}/{path}": False}


def test_a_source_that_is_not_there_is_the_folder_that_it_would_be_in(root: Path) -> None:
    (root / "data/l.csv").symlink_to("gone.csv")
    for path in ("data/gone.csv", "data/l.csv"):
        assert shown(root, source=path) == {f"{root}/data": False}
    assert shown(root, source="no/folder/gone.csv") == {}


def test_a_pattern_is_the_folder_above_its_first_magic_part(root: Path) -> None:
    for path in ("data/*.csv", "data/**/x.csv", "data/[a-z]/x.csv"):
        assert shown(root, source=path) == {f"{root}/data": False}


def test_a_folder_of_sources_that_is_a_link_is_shown_by_both_names(root: Path) -> None:
    (root / "linked").symlink_to(root.parent / "elsewhere")
    both = {f"{root}/linked": False, f"{root.parent}/elsewhere": False}
    assert shown(root, source="linked/*.csv") == both
    assert shown(root, source="linked/gone.csv") == both


def test_a_sink_is_each_folder_that_links_lead_through(root: Path) -> None:
    (root / "out").mkdir()
    (root / "middle").mkdir()
    (root / "out/o.csv").symlink_to("../middle/o.csv")
    (root / "middle/o.csv").symlink_to(root.parent / "elsewhere/o.csv")
    folders = (root / "out", root / "middle", root.parent / "elsewhere")
    assert shown(root, sink="out/o.csv") == {str(folder): True for folder in folders}


def test_a_sink_whose_folder_is_a_link_is_shown_by_both_names(root: Path) -> None:
    (root / "out").symlink_to(root.parent / "elsewhere")
    both = {f"{root}/out": True, f"{root.parent}/elsewhere": True}
    assert shown(root, sink="out/o.csv") == both


def test_a_sink_that_links_to_itself_is_its_folder(root: Path) -> None:
    (root / "data/o.csv").symlink_to("o.csv")
    assert shown(root, sink="data/o.csv") == {f"{root}/data": True}
