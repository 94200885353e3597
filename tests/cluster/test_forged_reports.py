"""A step that speaks for its slice on the control channel: what it says that its slice has prepared is moved, published, read or taken away only if the slice's own sinks write there."""

from __future__ import annotations

from pathlib import Path

import pytest
from runi_project import Project

SECRET = "what only the node's user may read"
FORGING = """
import os, stat
from runink.jobs import Done, Failed, Prepared
from runink.errors import WireError
from runink.wire.codec import encode
from runink.wire.frames import frame

ROOT = {root!r}

def say(report, code):
    for descriptor in range(3, 64):
        try:
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        except OSError:
            continue
        if is_socket:
            os.write(descriptor, frame(encode(report)))
            os._exit(code)

def prepared(aside, target):
    return (Prepared("one.sink", "csv://out/y.csv", "file", ROOT + aside, ROOT + target, "overwrite", 1, 1, ""),)

@step(each="batch")
def steal(batch):
    say(Done(prepared=prepared("/secret/key", "/out/stolen")), 0)

@step(each="batch")
def plant(batch):
    with open("out/mine", "w") as file:
        file.write("mine")
    say(Done(prepared=prepared("/out/mine", "/secret/planted")), 0)

@step(each="batch")
def destroy(batch):
    error = WireError("Refused", "step_failed", "x")
    say(Failed(error, prepared=prepared("/secret/key", "/out/y.csv")), 1)
"""


@pytest.fixture
def forging(project: Project) -> Project:
    project.write("data/x.csv", "a\n1\n")
    project.write("secret/key", SECRET)
    project.step(FORGING.format(root=str(project.root)))
    return project


@pytest.mark.parametrize("name", ["steal", "plant", "destroy"])
def test_what_a_step_says_in_its_slice_s_name_moves_nothing_of_others(forging: Project, name: str):
    forging.pipeline(f'@source("csv://data/x.csv")\n@step("{name}")\n@sink("csv://out/y.csv")')
    failed = forging.run()
    assert failed.error["code"] == "bad_report", failed
    assert Path(forging.root, "secret/key").read_text() == SECRET
    assert forging.files("secret") == ["secret/key"]
    assert not Path(forging.root, "out/stolen").exists()
