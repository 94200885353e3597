"""Which files a source means, and what is told where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from connector_world import batches, error_of, rows, source
from runink.connectors import finding
from runink.errors import Invalid, NotFound, Refused


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"a\n{name}\n")


def origins(root: Path, path: str) -> list[str]:
    return [batch.origin for batch in batches(source(path), root)]


def test_a_missing_file_is_told_with_names_that_are_near(tmp_path: Path) -> None:
    put(tmp_path, "data/flights.csv", "data/planes.csv")
    error = error_of(source("data/flihgts.csv"), tmp_path)
    assert isinstance(error, NotFound)
    assert error.text == "there is no file data/flihgts.csv"
    assert error.hint == "did you mean flights.csv?"


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    assert "no folder data" in error_of(source("data/a.csv"), tmp_path).hint


def test_a_glob_that_matches_nothing_is_told(tmp_path: Path) -> None:
    put(tmp_path, ".a.csv", "b.txt")
    assert error_of(source("*.csv"), tmp_path).text == "no file matches *.csv"


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("gone.csv")
    assert isinstance(error_of(source("a.csv"), tmp_path), NotFound)


def test_a_link_of_a_pattern_that_leads_out_to_nowhere_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "data/a.csv", "data/b/a.csv", "data/parts/part-0.csv")
    for link in ("data/l.csv", "data/l", "data/parts/part-1.csv"):
        (tmp_path / link).symlink_to("/gone")
    for path in ("data/*.csv", "data/*/a.csv", "data/**/a.csv", "data/parts"):
        error = error_of(source(path), tmp_path)
        assert error.code == "source_link", path
        assert "a link to /gone" in error.text


def test_a_link_of_a_pattern_that_leads_to_nowhere_within_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "data/a.csv")
    (tmp_path / "data/b.csv").symlink_to("gone.csv")
    (tmp_path / "data/c").symlink_to("gone")
    assert origins(tmp_path, "data/*.csv") == ["data/a.csv"]
    assert origins(tmp_path, "data/**/*.csv") == ["data/a.csv"]


def test_links_of_a_pattern_that_lead_out_to_what_is_there_are_read(tmp_path: Path) -> None:
    put(tmp_path, "data/a.csv", "other/b.csv")
    (tmp_path / "data/l").symlink_to("../other")
    (tmp_path / "data/b.csv").symlink_to(tmp_path / "other/b.csv")
    assert origins(tmp_path, "data/*.csv") == ["data/a.csv", "data/b.csv"]
    assert origins(tmp_path, "data/*/*.csv") == ["data/l/b.csv"]


def test_a_directory_is_told(tmp_path: Path) -> None:
    put(tmp_path, "data/a.csv")
    error = error_of(source("data"), tmp_path)
    assert isinstance(error, Refused)
    assert error.text == "data is a directory"
    assert error.hint == "name the files in it, as in data/*"


def test_a_folder_of_parts_is_read_whole(tmp_path: Path) -> None:
    put(tmp_path, "a.csv/part-2.csv", "a.csv/part-1.csv", "a.csv/.part-0.csv", "a.csv/_SUCCESS")
    assert origins(tmp_path, "a.csv") == ["a.csv/part-1.csv", "a.csv/part-2.csv"]
    assert origins(tmp_path, "a.csv/") == ["a.csv/part-1.csv", "a.csv/part-2.csv"]


def test_a_glob_gives_its_files_in_the_order_of_their_paths(tmp_path: Path) -> None:
    put(tmp_path, "x/b.csv", "x/a.csv", "y/c.csv", ".z/d.csv", "x/.e.csv")
    assert origins(tmp_path, "*/*.csv") == ["x/a.csv", "x/b.csv", "y/c.csv"]
    assert origins(tmp_path, "**/*.csv") == ["x/a.csv", "x/b.csv", "y/c.csv"]
    assert origins(tmp_path, str(tmp_path / "x" / "*.csv"))[0].endswith("x/a.csv")


def test_a_file_whose_name_is_no_utf8_is_read_and_told_in_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")).write_text("a\n1\n")
    found = batches(source("*.csv"), tmp_path)
    assert [(batch.origin, batch.data.num_rows) for batch in found] == [("caf\\xe9.csv", 1)]
    assert error_of(source("cafe.csv"), tmp_path).hint == "did you mean caf\\xe9.csv?"


def test_a_file_whose_name_looks_like_a_glob_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a[1].csv", "a1.csv")
    assert origins(tmp_path, "a[1].csv") == ["a[1].csv"]


def test_too_many_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "FILES_MAX", 2)
    put(tmp_path, "a.csv", "b.csv", "c.csv")
    error = error_of(source("*.csv"), tmp_path)
    assert isinstance(error, Invalid)
    assert error.code == "source_too_many_files"


def test_a_run_without_standard_input_is_told(tmp_path: Path) -> None:
    assert error_of(source("-"), tmp_path).code == "source_no_stdin"


def test_a_named_pipe_is_read_once_through(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    child = os.fork()
    if child == 0:
        (tmp_path / "pipe").write_text("a\n1\n")
        os._exit(0)
    assert rows(source("pipe"), tmp_path) == [{"a": 1}]
    assert os.waitpid(child, 0)[1] == 0


def test_what_goes_to_s3_cannot_be_read_before_it_is_published(tmp_path: Path) -> None:
    staged = ("s3://bucket/a.csv?uploadId=x",)
    error = error_of(source("s3://bucket/a.csv"), tmp_path, staged=staged)
    assert error.code == "source_staged_upload"
