"""Publish, discard, leftovers: old or new, never a third thing; again and again without harm."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from connector_world import TICKET, batch, names, rows, sink, source, write, write_and_publish
from fsspec.implementations.memory import MemoryFileSystem
from msgspec.structs import replace
from runink.connectors.publishing import discard, leftovers, publish
from runink.connectors.sinks import open_sink
from runink.dag import Format, Mode
from runink.errors import Conflict, Refused
from runink.jobs import Prepared, Ticket
from runink.names import RunId, SliceId

OLD = batch(a=[0])
NEW = batch(a=[1, 2])
SECOND = Ticket(TICKET.run, SliceId("bronze"), 2)
NEXT_RUN = Ticket(RunId("01KAZZZZZZ0000000000000000"), SliceId("bronze"), 1)


def test_a_publish_replaces_what_is_there_whole(tmp_path: Path) -> None:
    write_and_publish(sink("a.csv"), tmp_path, OLD)
    prepared = write(sink("a.csv"), tmp_path, NEW, ticket=NEXT_RUN)
    assert (tmp_path / "a.csv").read_text() == "a\n0\n"
    publish(prepared)
    assert (tmp_path / "a.csv").read_text() == "a\n1\n2\n"
    assert names(tmp_path) == ["a.csv"]


def test_a_file_that_replaces_another_is_read_by_the_same_people(tmp_path: Path) -> None:
    write_and_publish(sink("a.csv"), tmp_path, OLD)
    new_mode = stat.S_IMODE((tmp_path / "a.csv").stat().st_mode)
    for mode in (0o600, 0o664):
        (tmp_path / "a.csv").chmod(mode)
        prepared = write(sink("a.csv"), tmp_path, NEW, ticket=NEXT_RUN)
        assert stat.S_IMODE(Path(prepared.aside).stat().st_mode) == mode
        publish(prepared)
        assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == mode
    write_and_publish(sink("b.csv"), tmp_path, OLD)
    assert stat.S_IMODE((tmp_path / "b.csv").stat().st_mode) == new_mode


def test_what_waits_here_for_another_place_is_for_this_user_only(tmp_path: Path) -> None:
    prepared = write(sink("memory://out/a.csv"), tmp_path, NEW)
    assert stat.S_IMODE(Path(prepared.aside).stat().st_mode) == 0o600


class WithoutMoving(MemoryFileSystem):
    protocol = "nomove"
    store: ClassVar[dict[str, object]] = {}

    def mv(self, *_: object, **__: object) -> None:
        raise PermissionError("no right to rename")


def test_what_could_not_be_moved_into_its_place_elsewhere_goes_away_there_too(
    tmp_path: Path,
) -> None:
    fsspec.register_implementation("nomove", WithoutMoving, clobber=True)
    node = sink("nomove://out/a.csv")
    prepared = write(node, tmp_path, NEW)
    with pytest.raises(Refused, match="no right to rename"):
        publish(prepared)
    assert len(WithoutMoving.store) == 1
    discard(prepared)
    discard(prepared)
    assert not WithoutMoving.store
    with pytest.raises(Refused):
        publish(write(node, tmp_path, NEW))
    leftovers(node, root=tmp_path, ticket=TICKET)
    assert not WithoutMoving.store


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    prepared = write_and_publish(sink("a.csv"), tmp_path, NEW)
    before = (tmp_path / "a.csv").stat()
    publish(prepared)
    after = (tmp_path / "a.csv").stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_a_target_that_became_something_else_is_not_taken_for_published(tmp_path: Path) -> None:
    prepared = write_and_publish(sink("a.csv"), tmp_path, NEW)
    (tmp_path / "a.csv").write_text("a\n3\n4\n")
    with pytest.raises(Conflict) as caught:
        publish(prepared)
    assert caught.value.code == "sink_aside_lost"
    (tmp_path / "a.csv").unlink()
    with pytest.raises(Conflict):
        publish(prepared)


def test_discarding_takes_away_what_is_aside_and_nothing_else(tmp_path: Path) -> None:
    write_and_publish(sink("a.csv"), tmp_path, OLD)
    prepared = write(sink("a.csv"), tmp_path, NEW, ticket=NEXT_RUN)
    discard(prepared)
    discard(prepared)
    assert (tmp_path / "a.csv").read_text() == "a\n0\n"
    assert names(tmp_path) == ["a.csv"]


def test_leftovers_are_found_by_the_ticket_alone(tmp_path: Path) -> None:
    node = sink("out/a.csv")
    write(node, tmp_path, NEW)
    mine = write(node, tmp_path, NEW, ticket=SECOND)
    leftovers(node, root=tmp_path, ticket=TICKET)
    leftovers(node, root=tmp_path, ticket=TICKET)
    assert [str(tmp_path / name) for name in names(tmp_path)] == [mine.aside]


def test_what_lies_aside_is_no_part_of_a_glob(tmp_path: Path) -> None:
    write_and_publish(sink("a.csv"), tmp_path, OLD)
    write(sink("b.csv"), tmp_path, NEW)
    assert rows(source("*"), tmp_path) == [{"a": 0}]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.csv").write_text("old")
    (tmp_path / "a.csv").symlink_to("real/a.csv")
    write_and_publish(sink("a.csv"), tmp_path, NEW)
    assert (tmp_path / "a.csv").is_symlink()
    assert (tmp_path / "real" / "a.csv").read_text() == "a\n1\n2\n"


def test_a_name_of_any_length_that_a_file_may_have_is_written(tmp_path: Path) -> None:
    name = "x" * 245 + ".csv.gz"
    write_and_publish(sink(name), tmp_path, NEW)
    assert rows(source(name), tmp_path) == [{"a": 1}, {"a": 2}]


def test_a_directory_that_came_meanwhile_is_told(tmp_path: Path) -> None:
    prepared = write(sink("a.csv"), tmp_path, NEW)
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(Refused) as caught:
        publish(prepared)
    assert caught.value.code == "sink_is_directory"
    assert Path(prepared.aside).exists()


class TestModeError:
    def prepared(self, root: Path) -> Prepared:
        return write(sink("a.csv", mode=Mode.ERROR), root, NEW)

    def test_it_publishes_what_is_new_and_may_do_it_again(self, tmp_path: Path) -> None:
        prepared = self.prepared(tmp_path)
        publish(prepared)
        publish(prepared)
        assert (tmp_path / "a.csv").read_text() == "a\n1\n2\n"
        assert names(tmp_path) == ["a.csv"]

    def test_it_leaves_alone_what_came_meanwhile(self, tmp_path: Path) -> None:
        prepared = self.prepared(tmp_path)
        (tmp_path / "a.csv").write_text("another's")
        with pytest.raises(Conflict) as caught:
            publish(prepared)
        assert caught.value.code == "sink_exists"
        assert (tmp_path / "a.csv").read_text() == "another's"
        assert Path(prepared.aside).exists()

    def test_killed_between_the_two_names_it_goes_on(self, tmp_path: Path) -> None:
        prepared = self.prepared(tmp_path)
        (tmp_path / "a.csv").hardlink_to(prepared.aside)
        publish(prepared)
        assert names(tmp_path) == ["a.csv"]

    def test_a_filesystem_without_links_is_served_as_well(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(Path, "hardlink_to", refused)
        prepared = self.prepared(tmp_path)
        (tmp_path / "a.csv").write_text("another's")
        with pytest.raises(Conflict):
            publish(prepared)
        (tmp_path / "a.csv").unlink()
        publish(prepared)
        assert names(tmp_path) == ["a.csv"]


class TestModeAppend:
    def test_each_run_adds_a_part_and_a_reader_gets_all(self, tmp_path: Path) -> None:
        node = sink("out/a.csv.gz", mode=Mode.APPEND)
        write_and_publish(node, tmp_path, OLD)
        write_and_publish(node, tmp_path, NEW, ticket=NEXT_RUN)
        parts = names(tmp_path)
        assert [name.startswith("out/a.csv.gz/part-01K") for name in parts] == [True, True]
        assert all(name.endswith(".csv.gz") for name in parts)
        assert rows(source("out/a.csv.gz"), tmp_path) == [{"a": 0}, {"a": 1}, {"a": 2}]
        assert rows(source("out/a.csv.gz/*"), tmp_path) == [{"a": 0}, {"a": 1}, {"a": 2}]

    def test_a_part_ends_as_its_format_where_the_folder_has_no_ending(self, tmp_path: Path) -> None:
        write_and_publish(sink("out/a", Format.JSONL, mode=Mode.APPEND), tmp_path, OLD)
        assert [name.endswith(".jsonl") for name in names(tmp_path)] == [True]

    def test_a_retried_run_adds_nothing_twice(self, tmp_path: Path) -> None:
        node = sink("a.csv", mode=Mode.APPEND)
        publish(write_and_publish(node, tmp_path, NEW))
        write_and_publish(node, tmp_path, NEW, ticket=SECOND)
        assert rows(source("a.csv"), tmp_path) == [{"a": 1}, {"a": 2}]

    def test_two_sinks_of_a_run_add_a_part_each(self, tmp_path: Path) -> None:
        node = sink("a.csv", mode=Mode.APPEND)
        write_and_publish(node, tmp_path, OLD)
        write_and_publish(replace(node, id="other"), tmp_path, NEW)
        assert len(rows(source("a.csv"), tmp_path)) == 3

    def test_discarded_it_leaves_no_folder(self, tmp_path: Path) -> None:
        discard(write(sink("a.csv", mode=Mode.APPEND), tmp_path, NEW))
        assert list(tmp_path.iterdir()) == []


class TestAnotherFilesystem:
    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        assert folder.stat().st_dev != tmp_path.stat().st_dev
        yield folder
        shutil.rmtree(folder)

    def kept(self, root: Path, elsewhere: Path, mode: Mode = Mode.OVERWRITE) -> Prepared:
        """A dead letter that is kept in another place than it was written for."""
        prepared = write(sink("dead.jsonl", Format.JSONL, dead_letter=True), root, NEW)
        return replace(prepared, target=f"{elsewhere}/dead/a.jsonl", mode=mode.value)

    @pytest.mark.parametrize("mode", [Mode.OVERWRITE, Mode.ERROR])
    def test_what_is_aside_is_copied_beside_its_target_first(
        self, tmp_path: Path, elsewhere: Path, mode: Mode
    ) -> None:
        prepared = self.kept(tmp_path, elsewhere, mode)
        publish(prepared)
        publish(prepared)
        assert (elsewhere / "dead" / "a.jsonl").read_text() == '{"a":1}\n{"a":2}\n'
        assert names(tmp_path) == []
        assert names(elsewhere) == ["dead/a.jsonl"]

    def test_a_copy_that_was_cut_is_made_again_or_discarded(
        self, tmp_path: Path, elsewhere: Path
    ) -> None:
        prepared = self.kept(tmp_path, elsewhere)
        (elsewhere / "dead").mkdir()
        copy = elsewhere / "dead" / Path(prepared.aside).name
        copy.write_text("half")
        publish(prepared)
        assert names(elsewhere) == ["dead/a.jsonl"]
        prepared = self.kept(tmp_path, elsewhere)
        copy.write_text("half")
        discard(prepared)
        assert names(elsewhere) == ["dead/a.jsonl"]
        assert names(tmp_path) == []


def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    first = open_sink(sink("a.csv"), root=tmp_path, ticket=TICKET, stdout_fd=None)
    second = open_sink(sink("a.csv"), root=tmp_path, ticket=NEXT_RUN, stdout_fd=None)
    first.write(OLD)
    second.write(NEW)
    publish(second.prepare())
    publish(first.prepare())
    assert (tmp_path / "a.csv").read_text() == "a\n0\n"
    assert names(tmp_path) == ["a.csv"]


def test_a_remote_target_is_written_aside_here_and_put_there_whole(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/there/a.csv"
    (tmp_path / "there").mkdir()
    (tmp_path / "project").mkdir()
    for mode in (Mode.OVERWRITE, Mode.ERROR):
        prepared = write(sink(uri, mode=mode), tmp_path / "project", NEW)
        assert names(tmp_path / "there") == []
        assert prepared.aside.startswith(f"{tmp_path}/project/.runink/aside/.runink-")
        publish(prepared)
        publish(prepared)
        assert names(tmp_path / "project") == []
        assert rows(source(uri), tmp_path) == [{"a": 1}, {"a": 2}]
        if mode is Mode.OVERWRITE:
            (tmp_path / "there" / "a.csv").unlink()
    with pytest.raises(Conflict):
        write(sink(uri, mode=Mode.ERROR), tmp_path / "project", NEW)


def test_a_scheme_that_nobody_serves_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        write(sink("nosuch://a/b.csv"), tmp_path, NEW)
    assert caught.value.code == "remote_scheme"
