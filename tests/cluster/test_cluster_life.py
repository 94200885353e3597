"""A cluster that stays, and what becomes of runs when parts of it are killed: none is lost, none is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from runi_project import Project, first_of, proc_text

GATED = """
import os, time
@step(each="record")
def work(row):
    print("begun", flush=True)
    while not os.path.exists("data/go"):
        time.sleep(0.01)
    return row
"""


@pytest.fixture
def gated(project: Project) -> Project:
    """A pipeline whose step waits until a file is there: in the folder above its pattern, which it is shown."""
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED)
    project.pipeline('@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    return project


def running(project: Project) -> subprocess.Popen[bytes]:
    """Submit the pipeline, and return when its step has begun."""
    child = project.popen("run", "features/p.dsl", "-o", "json", stderr=subprocess.STDOUT)
    while not any(
        b"begun" in path.read_bytes() for path in project.root.glob(".runink/runs/*/logs/*.jsonl")
    ):
        assert child.poll() is None, child.communicate()
        os.sched_yield()
    return child


def spawner_of(project: Project) -> int:
    """Return the process of this project's spawner."""
    socket = str(project.root / ".runink/spawner-local.sock")
    found = [pid for pid in project.processes() if socket in proc_text(pid, "cmdline").split("\0")]
    return first_of(found)


def fork_server_of(project: Project) -> int:
    """Return the process that slices are forked from: the spawner's child of that name."""
    spawner = spawner_of(project)
    children = Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split()
    found = [int(pid) for pid in children if proc_text(int(pid), "comm") == "runi-forkserver\n"]
    assert len(found) == 1, children
    return found[0]


def test_runs_are_submitted_to_the_cluster_that_is_up(gated: Project):
    gated.write("data/go", "")
    with gated.up():
        assert gated.runi("status").code == 0
        said = gated.run()
        assert said.code == 0, said
        assert gated.runi("up").code == 5
        socket = gated.root / ".runink/runi.sock"
        assert socket.stat().st_mode & 0o777 == 0o600
    assert gated.runi("status").code == 7
    assert len(gated.rows("out/o.jsonl")) == 3
    assert gated.processes() == []


def test_a_cluster_that_is_killed_and_started_again_takes_its_slices_up(gated: Project):
    with gated.up() as up:
        child = running(gated)
        up.kill()
        up.wait(timeout=60)
    child.communicate(timeout=60)
    with gated.up():
        gated.write("data/go", "")
        ended = gated.runi("logs", "last", "--follow")
        assert ended.code == 0, ended
    listed = gated.runi("runs", "-o", "json").document
    assert [run["state"] for run in listed] == ["succeeded"]
    assert len(gated.rows("out/o.jsonl")) == 3
    assert ended.out.count("begun") == 3, "no row was worked on twice"


def test_a_spawner_that_is_killed_is_replaced_and_its_gang_repeated(gated: Project):
    with gated.up():
        child = running(gated)
        os.kill(spawner_of(gated), signal.SIGKILL)
        gated.write("data/go", "")
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0, out
    assert len(gated.rows("out/o.jsonl")) == 3
    assert gated.files("out") == ["out/o.jsonl"]


def test_a_fork_server_that_is_killed_takes_no_slice_with_it(gated: Project):
    with gated.up():
        child = running(gated)
        os.kill(fork_server_of(gated), signal.SIGKILL)
        gated.write("data/go", "")
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0, out
        gated.write("data/go", "")
        assert gated.run().code == 0
    assert len(gated.rows("out/o.jsonl")) == 3


def test_a_run_is_cancelled_from_another_terminal(gated: Project):
    with gated.up():
        child = running(gated)
        assert gated.runi("cancel", "last").code == 0
        child.communicate(timeout=60)
        assert child.returncode == 130
    assert not (gated.root / "out/o.jsonl").exists()
    assert gated.files("out") == []
