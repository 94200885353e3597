"""A state folder that is full, read-only, damaged or no folder: each is told plainly, and what was there stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from runi_project import Project


@pytest.fixture
def plain(project: Project) -> Project:
    """A pipeline from one file to another that is there already."""
    project.write("data/in.csv", "a,b\n1,x\n2,\n3,z\n")
    project.write("out/o.csv", "before")
    project.pipeline('@source("csv://data/in.csv")\n@sink("csv://out/o.csv")')
    return project


@contextmanager
def small_disk(project: Project, size: str) -> Iterator[None]:
    path = project.root / ".runink"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("size", ["4k", "96k"])
def test_a_full_disk_for_the_state_is_told_and_loses_nothing(plain: Project, size: str):
    with small_disk(plain, size):
        said = plain.run()
    assert said.code == 1, said
    assert said.error["code"] == "disk_full"
    assert "Traceback" not in said.err
    assert plain.read("out/o.csv") == "before"


def test_a_state_that_is_read_only_is_told(plain: Project):
    with small_disk(plain, "4m"):
        subprocess.run(["mount", "-o", "remount,ro", str(plain.root / ".runink")], check=True)
        said = plain.run()
        assert said.code == 4, said
        assert said.error["code"] == "not_writable"
        assert "--state" in said.error["hint"]
        assert "Traceback" not in said.err


def test_a_state_that_is_no_folder_is_told(plain: Project):
    plain.write(".runink", "")
    for words in (["run", "features/p.dsl"], ["runs"], ["status"]):
        said = plain.runi(*words, "-o", "json")
        assert said.code == 8, said
        assert said.document["error"]["code"] == "state_no_folder"


def test_a_damaged_log_stops_every_command_with_its_place(plain: Project):
    assert plain.run().code == 0
    [log] = (plain.root / ".runink/barn").glob("wal-*")
    content = bytearray(log.read_bytes())
    content[len(content.rstrip(b"\0")) // 2] ^= 0xFF
    log.write_bytes(content)
    for words in (["run", "features/p.dsl"], ["runs"]):
        said = plain.runi(*words, "-o", "json")
        assert said.code == 1, said
        assert said.document["error"]["code"] == "wal_corrupt"
        assert log.name in said.document["error"]["text"]
        assert "Traceback" not in said.err
    assert log.read_bytes() == content, "what is damaged is left as it is"
