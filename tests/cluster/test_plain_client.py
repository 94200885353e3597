"""A program in no need of Runink speaks the wire as docs/wire-protocol.md says, with a real cluster and with a session's machine."""

from __future__ import annotations

import ast
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from plain_client import (
    LARGE,
    LARGE_ANSWERS,
    LIMITS,
    EndedError,
    PeerError,
    PlainClient,
    connect_unix,
    decode,
    encode,
    new_run_id,
)
from runi_project import Project
from runink.wire.session import PING_S, Session
from test_cluster_life import GATED

DOCUMENT = (Path(__file__).parents[2] / "docs/wire-protocol.md").read_text()
VECTORS = re.findall(r"^\| (\w+)\((.*)\) \| `([0-9a-f]+)` \|$", DOCUMENT, re.MULTILINE)
NUMBERS = {
    name: int(number)
    for number, name in re.findall(r"^\| (\d+) \| (\w+) \|", DOCUMENT, re.MULTILINE)
}


@pytest.mark.parametrize(("kind", "fields", "vector"), VECTORS)
def test_a_vector_is_read_and_written_by_the_other_client(kind: str, fields: str, vector: str):
    data = bytes.fromhex(vector)
    said = [NUMBERS[kind], *ast.literal_eval(f"[{fields}]")]
    body = decode(data)
    assert body[: len(said)] == said
    assert all(rest == "" for rest in body[len(said) :])  # no traceparent
    if kind != "Data":  # which a relay writes in longer words, and takes in any
        assert encode(body) == data


def test_the_client_knows_the_large_messages_of_the_document():
    rows = re.findall(
        r"^\| ([\w, ]+) \| (it|it, and its answer|its answer) \|$", DOCUMENT, re.MULTILINE
    )
    of_parts = {part: set(names.split(", ")) for names, part in rows if part != "its answer"}
    answers = set().union(*(names.split(", ") for names, part in rows if part != "it"))
    assert of_parts["it, and its answer"] == LARGE
    assert answers == LARGE_ANSWERS


@contextmanager
def connected(project: Project, *, version: int = 1) -> Iterator[PlainClient]:
    link = connect_unix(project.root / ".runink/runi.sock")
    with PlainClient(link, version=version) as client:
        yield client


def stands(client: PlainClient, prefix: str) -> dict[str, Any]:
    """Return what stands under a prefix in the Barn."""
    (page,) = client.call("barn", "Read", {"spans": [[prefix, prefix[:-1] + "0"]]})["pages"]
    return {key: json.loads(value) for key, value, *_ in page[0]}


@pytest.fixture
def gated(project: Project) -> Project:
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED)
    project.pipeline('@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    return project


def submission(client: PlainClient, project: Project) -> dict[str, Any]:
    """Return a request for a run of what ran before: the pipeline as Runink compiled it, and the code that is there."""
    (run,) = stands(client, "/runs/").values()
    (pipeline,) = stands(client, "/pipelines/").values()
    (herd,) = stands(client, "/herds/").values()
    return {
        "run": new_run_id(),
        "dag": pipeline["dag"],
        "herd": herd,
        "project": str(project.root),
        "bundle": run["bundle"],
    }


def test_a_program_submits_follows_cancels_and_asks_why(gated: Project):
    gated.write("data/go", "")
    with gated.up():
        assert gated.runi("run", "features/p.dsl", "-q").code == 0
        with connected(gated) as client:
            request = submission(client, gated)
            run, herd = request["run"], request["herd"]["herd"]
            astray = {"source": "one.nobody", "target": request["dag"]["nodes"][0]["id"]}
            for wrong in (
                {"dag": request["dag"] | {"links": [astray]}},  # which no part of it could survive
                {"run": "../.."},
                {"bundle": "a" * 300},
                {"project": "here"},
            ):
                with pytest.raises(PeerError, match="Invalid"):
                    client.call("runs", "Submit", request | wrong)
            assert client.call("runs", "Submit", request)["run"] == run
            assert client.call("runs", "Submit", request)["run"] == run  # the same one
            views = list(client.follow(run))
            assert views[-1]["record"]["state"] == "succeeded"
            lineage = client.call("governance", "LineageOf", {"herd": herd, "run": run})
            assert (lineage["run"], lineage["state"]) == (run, "succeeded")
            assert [one["rows"] for one in lineage["outputs"]] == [3]
            assert f"/runs/{herd}/{run}" in stands(client, "/runs/")

            (gated.root / "data/go").unlink()
            other = request | {"run": new_run_id()}
            client.call("runs", "Submit", other)
            follower = client.follow(other["run"])
            states = [next(follower)["record"]["state"]]
            while states[-1] != "running":
                states.append(next(follower)["record"]["state"])
            why = client.call("governance", "WhyOf", {"herd": herd, "run": other["run"]})
            assert [gang["nodes"] for gang in why["gangs"]] == [["local"]]
            client.call("runs", "Cancel", {"run": other["run"]})
            assert list(follower)[-1]["record"]["state"] == "cancelled"


def test_mistakes_of_a_program_are_refused_and_only_a_broken_rule_ends_its_connection(
    gated: Project,
):
    with gated.up(), connected(gated) as client:
        asked = {
            name: client.ask(target, name, body)
            for target, name, body in (
                ("runs", "Cancel", {"run": new_run_id()}),
                ("runs", "Follow", {"run": "x", "seen": "y"}),
                ("runs", "Pause", {"run": "x", "paused": True, "colour": "red"}),
                ("nobody", "Drop", {"run": "x"}),
                ("governance", "Explode", {}),
            )
        }
        codes = {}
        for name, number in asked.items():
            with pytest.raises(PeerError) as info:
                client.wait(number)
            assert not info.value.is_close
            codes[name] = info.value.code
        assert codes == {
            "Cancel": "not_found",
            "Follow": "bad_message",
            "Pause": "bad_message",
            "Drop": "no_such_actor",
            "Explode": "unknown_message",
        }
        used = {"run": new_run_id(), "slice": "s", "attempt": 1, "used": {"at_ms": 1}}
        for _ in range(3 * client.tells_max):
            client.tell("runs", "SliceUsed", used)
        client.ping()
        assert client.call("barn", "Status", {})["digest"]
        for data, code in (
            (encode([3, 7, "runs", "Drop", {}]), "bad_number"),
            ((2 << 20).to_bytes(4, "big") + encode([4, 1, "runs", "Drop", "x" * 5000, 1])[4:], "frame_too_large"),
            (encode([1, 1, 1, "again", "", b"", LIMITS]), "out_of_turn"),
            (b"GET / HTTP/1.1\r\n\r\n", "frame_too_large"),
        ):  # fmt: skip
            with connected(gated) as other:
                other.send_bytes(data)
                assert other.until_closed().code == code
        with pytest.raises(PeerError) as info, connected(gated, version=9):
            raise AssertionError("it was let in")
        assert (info.value.code, info.value.is_close) == ("version_mismatch", True)


def test_a_ping_of_the_other_side_is_answered_and_its_end_is_told():
    ours, theirs = socket.socketpair()
    session = Session.accepting("two", now=0.0)

    def serve() -> None:
        while not session.is_closed:
            session.receive(theirs.recv(1 << 16), now=0.0)
            if session.is_closed:
                break
            session.tick(now=PING_S)
            theirs.sendall(session.take_output())
        theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with PlainClient(ours) as client:
        client.ping()
        assert client.pings >= 1
        client.close()
        with pytest.raises(EndedError):
            client.until_closed()
    thread.join()
