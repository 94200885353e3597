"""`runi events`, and lists that are watched: a line, or a document, for each thing as it happens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asked_cluster import Shell, shell_at
from run_records import deploy, put_run, run_at, run_record
from runink.barn.keys import node_key
from runink.dag import Resources
from runink.names import HerdName, NodeId
from runink.runs.records import NodeRecord, RunState
from runink.testing.served import bound, person
from served_cluster import ServedCluster, served_cluster

pytestmark = pytest.mark.timeout(60)
ANN, BEN = person("ann"), person("ben")


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    return shell_at(tmp_path, monkeypatch, capfd)


@pytest.fixture
def cluster(tmp_path: Path, shell: Shell) -> Iterator[ServedCluster]:
    tokens = {"ann-token": ANN, "ben-token": BEN}
    bindings = [bound("ann", "viewer", ANN.subject, herd="sales")]
    with served_cluster(tmp_path, "sales", bindings=bindings, tokens=tokens) as made:
        for name in ("ann", "ben"):
            file = shell.home / f"{name}.token"
            file.write_text(f"{name}-token\n")
            file.chmod(0o600)
            words = ("context", "add", name, made.address, "--token-file", str(file))
            assert shell.runi(*words, "--herd", "sales").code == 0
        yield made


def watched(cluster: ServedCluster, act: Callable[[], Any], count: int, *words: str) -> list[str]:
    """Return the first lines that a command prints of what an act does. It is the only one that watches: one before it may still be counted."""
    command = [sys.executable, "-m", "runink.cli.main", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            cluster.until_watched()
            cluster.on_loop(act)
            return [process.stdout.readline() for _ in range(count)]
        finally:
            process.kill()


def test_what_happens_in_a_herd_is_printed_as_it_happens(cluster: ServedCluster) -> None:
    async def act() -> None:
        barn = cluster.cluster.barn
        await deploy(barn, "sales")
        await put_run(barn, run_record("sales", run_at(5), state=RunState.CANCELLED))

    now = cluster.on_loop(cluster.cluster.barn.status).revision
    lines = watched(cluster, act, 2, "events", "--context", "ann", "--since", str(now))
    assert [line.split()[0] for line in lines] == ["pipeline", "run"]
    assert lines[0].split()[1:] == ["daily", "deployed"]


def test_events_end_behind_as_many_as_were_asked_for(cluster: ServedCluster, shell: Shell) -> None:
    cluster.on_loop(lambda: put_run(cluster.cluster.barn, run_record("sales", state=RunState.FAILED)))  # fmt: skip
    words = ("events", "--since", "1", "--limit", "1", "--kind", "run", "--context")
    said = shell.runi(*words, "ann", "-o", "json")
    assert (said.code, said.json["state"]) == (0, "failed")
    assert shell.runi(*words, "ben").code == 3
    assert shell.runi("events", "--kind", "none", "--context", "ann").code == 2


def test_nodes_are_watched(cluster: ServedCluster, shell: Shell) -> None:
    async def act() -> None:
        record = NodeRecord(NodeId("w1"), Resources(1000, 1 << 30))
        await cluster.cluster.barn.put(node_key(record.node), record)

    operator = ("--state", str(shell.home))
    (line,) = watched(cluster, act, 1, "node", "list", "--watch", *operator)
    assert line.startswith("w1: 0 slices, offers cpu 1")
    assert shell.runi("node", "list", "--watch", "--context", "ben").code == 4


def test_schedules_are_watched(cluster: ServedCluster) -> None:
    async def act() -> None:
        await deploy(cluster.cluster.barn, HerdName("sales"))

    words = ("schedule", "list", "--watch", "-o", "json", "--context", "ann")
    (line,) = watched(cluster, act, 1, *words)
    assert json.loads(line)["pipeline"] == "daily"
