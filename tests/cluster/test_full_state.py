"""The disk of the cluster's own state is full in the middle of a run: it is told, nothing is lost, and it goes on when there is room."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from runi_project import Project
from runink.clients.cluster import Cluster
from runink.clients.connecting import connected
from runink.config import NodeSettings, offered
from runink.errors import Unavailable

STATE_BYTES = 640 << 10  # the log's first allocation and a little more
GATED = """
import os, time
@step(each="record")
def work(row):
    while not os.path.exists("data/go"):
        time.sleep(0.01)
    return row
"""


@pytest.fixture
def small(project: Project) -> Iterator[Project]:
    """A project whose state is on a small disk of its own, and a step that waits for a file: in the folder above the pattern, which it is shown."""
    state = project.root / ".runink"
    state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={STATE_BYTES},mode=700", "tmpfs", str(state)]
    subprocess.run(mount, check=True)
    project.write("data/in.csv", "a,b\n1,x\n")
    project.step(GATED)
    project.pipeline('@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    yield project
    subprocess.run(["umount", "-l", str(state)], check=True)


def started_and_full(project: Project) -> subprocess.Popen[bytes]:
    """Start a run, and return when its step waits and the log and the disk have no byte left."""
    child = project.popen("run", "features/p.dsl")
    assert child.stderr is not None
    while b"running" not in child.stderr.readline():
        assert child.poll() is None
    fill(project.root / ".runink/filler")
    return child


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def told_full(child: subprocess.Popen[bytes]) -> bool:
    """Read what the command says until it says that the disk is full."""
    assert child.stderr is not None
    return any(b"no space left" in line for line in child.stderr)


async def put_for_ever(cluster: Cluster, size: int) -> None:
    while True:  # ends with the disk
        await cluster.barn.put("/audit/test/filler", bytes(size))


def use_up_the_log(project: Project) -> None:
    """Put values into the Barn by its own socket until it says that the disk is full."""

    async def whole() -> None:
        settings = NodeSettings(state=project.root / ".runink", capacity=offered())
        async with connected(settings) as cluster:
            for size in (4096, 256, 16):
                with pytest.raises(Unavailable, match="no space left"):
                    await put_for_ever(cluster, size)

    anyio.run(whole)


def test_a_run_waits_says_why_and_goes_on_when_there_is_room(small: Project):
    child = started_and_full(small)
    try:
        use_up_the_log(small)
        small.write("data/go", "")
        assert told_full(child)
        (small.root / ".runink/filler").unlink()
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 0, (out, err)
    assert small.rows("out/o.jsonl") == [{"a": 1, "b": "x"}]
    assert small.files("out") == ["out/o.jsonl"]


def test_an_interrupt_leaves_though_nothing_can_be_written_and_the_next_start_says_that_it_was_cut(
    small: Project,
):
    child = started_and_full(small)
    try:
        use_up_the_log(small)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 1, (out, err)
    assert b"disk_full" in err
    assert small.processes() == []
    (small.root / ".runink/filler").unlink()
    small.write("data/go", "")
    again = small.run()
    assert again.code == 0, again
    assert "was ended before it was done" in again.err
