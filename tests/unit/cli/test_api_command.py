"""`runi api`: any request as it stands, and the exit code of whatever is answered; which cluster a command asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_cluster import Shell, shell_at
from asking_world import scripted
from runink.testing.served import bound, person
from served_cluster import ServedCluster, served_cluster

ANN, BEN = person("ann"), person("ben")


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    return shell_at(tmp_path, monkeypatch, capfd)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ServedCluster]:
    tokens = {"ann-token": ANN, "ben-token": BEN}
    bindings = [bound("ann", "viewer", ANN.subject, herd="sales")]
    with served_cluster(tmp_path, "sales", "stock", bindings=bindings, tokens=tokens) as made:
        yield made


def knows(shell: Shell, cluster: ServedCluster, name: str, token: str) -> None:
    file = shell.home / f"{name}.token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    added = shell.runi("context", "add", name, cluster.address, "--token-file", str(file))
    assert added.code == 0


def herds(shell: Shell, *words: str) -> list[str]:
    said = shell.runi("api", "get", "/herds", *words)
    assert said.code == 0, said.err
    return [one["herd"] for one in said.json["items"]]


def test_a_command_asks_the_context_that_is_meant(
    shell: Shell, cluster: ServedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows(shell, cluster, "ann", "ann-token")
    knows(shell, cluster, "ben", "ben-token")
    state = ["--state", str(shell.home)]
    assert herds(shell, *state) == ["sales", "stock"]
    assert herds(shell, "--context", "ann") == ["sales"]
    monkeypatch.setenv("RUNINK_CONTEXT", "ann")
    assert herds(shell) == ["sales"]
    assert herds(shell, "--context", "ben") == []
    assert herds(shell, *state) == ["sales"]  # RUNINK_CONTEXT is said, too
    monkeypatch.setenv("RUNINK_CONTEXT", "")
    assert herds(shell, *state) == ["sales", "stock"]
    monkeypatch.delenv("RUNINK_CONTEXT")
    shell.runi("context", "use", "ann")
    assert herds(shell) == ["sales"]
    assert herds(shell, *state) == ["sales", "stock"]
    monkeypatch.setenv("RUNINK_STATE", str(shell.home))
    assert herds(shell) == ["sales"]


def test_a_token_that_others_can_read_is_not_borne(shell: Shell, cluster: ServedCluster) -> None:
    knows(shell, cluster, "ann", "ann-token")
    (shell.home / "ann.token").chmod(0o640)
    said = shell.runi("api", "GET", "/herds", "--context", "ann")
    assert said.code == 1
    assert "token_exposed" in said.err
    assert "ann-token" not in said.err


def test_bodies_and_headers_are_sent_as_they_are_said(shell: Shell, cluster: ServedCluster) -> None:
    state = ["--state", str(shell.home)]
    del cluster
    body = shell.home / "body.json"
    body.write_text('{"text": "x"}')
    told = shell.runi("api", "POST", "/herds", "-d", f"@{body}", *state)
    assert told.code == 8
    assert "unknown field" in told.err
    typed = shell.runi("api", "POST", "/herds", "-d", "x", "-H", "Content-Type: text/plain", *state)
    assert "unsupported_media_type" in typed.err
    for wrong in (["-H", "Host: x"], ["-H", "none"], ["-H", "Authorization: Bearer x"], ["--watch", "-d", "x"]):  # fmt: skip
        assert shell.runi("api", "GET", "/herds", *wrong, *state).code == 2
    assert shell.runi("api", "POST", "/herds", "-d", "@nowhere", *state).code == 8
    assert shell.runi("api", "GET", "herds", *state).code == 8


def test_each_kind_of_answer_has_its_exit_code(shell: Shell, cluster: ServedCluster) -> None:
    knows(shell, cluster, "ann", "ann-token")
    knows(shell, cluster, "nobody", "made-up-token")
    state = ["--state", str(shell.home)]
    ann = ["--context", "ann"]
    assert shell.runi("api", "GET", "/herds/sales", *state).code == 0
    assert shell.runi("api", "BURN", "/herds", *state).code == 2
    assert shell.runi("api", "GET", "/herds/nowhere", *state).code == 3
    assert shell.runi("api", "GET", "/herds/stock", *ann).code == 3
    assert shell.runi("api", "DELETE", "/herds/sales", "-H", 'If-Match: "1"', *ann).code == 4
    assert shell.runi("api", "GET", "/herds", "--context", "nobody").code == 4
    assert shell.runi("api", "DELETE", "/herds/sales", "-H", 'If-Match: "999"', *state).code == 5
    assert shell.runi("api", "GET", "/herds?limit=0", *state).code == 8
    said = shell.runi("api", "GET", "/herds", "--state", str(shell.home / "nowhere"), "--within", "50ms")  # fmt: skip
    assert said.code == 7
    assert "runi up" in said.err
    with scripted(b"HTTP/1.1 200", is_kept=True) as (address, _):
        shell.runi("context", "add", "slow", address)
        assert shell.runi("api", "GET", "/herds", "--context", "slow", "--within", "50ms").code == 6
    bug = b'{"status":500,"code":"broken","detail":"a bug","request_id":"abc"}'
    head = b"HTTP/1.1 500 Oops\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n"  # fmt: skip
    with scripted(head % len(bug) + bug) as (address, _):
        shell.runi("context", "add", "broken", address)
        told = shell.runi("api", "GET", "/herds", "--context", "broken")
        assert told.code == 1
        assert "abc" in told.err


def test_a_stream_is_printed_event_by_event(shell: Shell) -> None:
    body = b'id: 3\nevent: put\ndata: {"a":1}\n\nid: 4\nevent: bookmark\ndata: {"revision":4}\n\nid: 5\nevent: put\ndata: [2]\n\nevent: end\ndata: {}\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    with scripted(head % len(body) + body) as (address, asked):
        shell.runi("context", "add", "stream", address)
        said = shell.runi("api", "GET", "/events?since=2", "--watch", "--context", "stream")
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {"revision": 3, "kind": "put", "data": {"a": 1}},
        {"revision": 5, "kind": "put", "data": [2]},
    ]
    assert asked[0].startswith(b"GET /api/v1/events?since=2 HTTP/1.1")
