"""What real slices are told, and how: one document in sealed memory. Their environment is the list of `docs/isolation.md` and no more."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from object_store import REGION, ObjectStore
from runi_project import Project, proc_text
from runink.documents import VERSION
from runink.errors import WireError
from runink.jobs import Failed
from runink.names import RunId, SliceId
from runink.runs.traces import span_of
from runink.testing.certificates import Authority
from runink.wire.codec import convert, decode
from runink.wire.frames import FrameReader

BUCKET = "kept"
SECRET = "wJalrXUtnFEMI-of-a-test"
IN = b"a\n1\n2\n"
BOTH = pytest.mark.parametrize("words", [(), ("--no-isolation",)], ids=["isolated", "plain"])
LOOK = """
import os
from runink import context

def begun_with():
    try:
        return [line.partition("=")[0] for line in open("/proc/self/environ").read().split("\\0")]
    except PermissionError:
        return []  # a closed slice may not even ask

@step(each="record")
def look(row):
    told = context()
    yield {
        "names": sorted(os.environ),
        "begun_with": begun_with(),
        "herd": told.herd, "pipeline": told.pipeline, "run": told.run, "slice": told.slice,
        "attempt": told.attempt, "node": told.node, "traceparent": told.traceparent, "day": told.parameters["day"],
        "network": told.settings.network.value, "memory": told.settings.memory_bytes, "herd_cpu": told.settings.herd_cpu_m,
    }
"""
PROGRAM = (
    "#!/bin/sh\ncat > /dev/null\nenv | sed 's/=.*//' | sort | sed 's/^/{\"name\":\"/; s/$/\"}/'\n"
)


@pytest.fixture(autouse=True)
def no_stores_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine says of object stores is not the test's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


def documented() -> list[str]:
    """Return the names that the documentation says a slice's environment has."""
    text = (Path(__file__).parents[2] / "docs/isolation.md").read_text()
    [row] = re.findall(r"^\| environment \|(.*)\|$", text, re.MULTILINE)
    return re.findall(r"`([A-Z_]+)`", row)


@pytest.fixture
def looking(project: Project) -> Project:
    """A project whose step says what it finds, and a node whose environment holds all that slices once had of it."""
    project.write("data/x.csv", "a\n1\n")
    project.step(LOOK)
    project.write("herds/ours.toml", '[herd]\nid = "ours"\n[quotas]\ncpu = 4\n')
    project.write(
        "features/p.dsl",
        '@herd("ours")\n@param("day", default="2013-01-01")\nFeature: F\n  Scenario: One\n'
        '    @source("csv://data/x.csv")\n    @step("look")\n    @requires(memory=512Mi)\n    @sink("jsonl://out/y.jsonl")\n',
    )
    project.environment |= {name: "x" for name in documented() if name != "PATH"}
    project.environment |= {"TZ": "UTC", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "LC_CTYPE": "C"}
    project.environment |= {"TMPDIR": str(project.write("tmp/.keep", "").parent)}
    project.environment |= {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_PROFILE": "p",
        "RUNINK_OF_MINE": SECRET,
        "SECRET_OF_SOMEBODY": SECRET,
        "HOME": str(project.root),
        "PYTHONPATH": "/nowhere",
        "LD_BIND_NOW": "1",
    }
    return project


@BOTH
def test_a_slices_environment_is_the_documented_list_whatever_its_agents_is(
    looking: Project, words: tuple[str, ...]
):
    said = looking.run("features/p.dsl", *words)
    assert said.code == 0, said
    [found] = looking.rows("out/y.jsonl")
    assert found["names"] == sorted(documented())
    assert not {
        name for name in found["begun_with"] if name.startswith(("AWS_", "RUNINK_", "SECRET"))
    }


@BOTH
def test_a_program_has_the_environment_of_its_slice(looking: Project, words: tuple[str, ...]):
    looking.write("bin/names", PROGRAM).chmod(0o755)
    looking.pipeline(
        '@source("csv://data/x.csv")\n@step(run="./bin/names")\n@sink("jsonl://out/y.jsonl")'
    )
    said = looking.run("features/p.dsl", *words)
    assert said.code == 0, said
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    found = {row["name"] for row in looking.rows("out/y.jsonl")} - of_the_shell
    assert found == {*documented()}


@BOTH
def test_temporary_files_of_a_program_go_where_it_has_a_folder_for_them(
    looking: Project, words: tuple[str, ...]
):
    program = '#!/bin/sh\ncat > /dev/null\nmade=$(mktemp) && echo "{\\"name\\":\\"$made\\"}"\n'
    looking.write("bin/makes", program).chmod(0o755)
    looking.pipeline(
        '@source("csv://data/x.csv")\n@step(run="./bin/makes")\n@sink("jsonl://out/y.jsonl")'
    )
    said = looking.run("features/p.dsl", *words)
    assert said.code == 0, said
    [row] = looking.rows("out/y.jsonl")
    folder = looking.environment["TMPDIR"] if words else "/tmp"
    assert Path(row["name"]).parent == Path(folder)


@BOTH
def test_a_step_sees_who_it_is(looking: Project, words: tuple[str, ...]):
    said = looking.run("features/p.dsl", "--param", "day=2013-07-04", *words)
    assert said.code == 0, said
    [found] = looking.rows("out/y.jsonl")
    [about] = [one for one in said.document["slices"] if not one["name"].startswith("@")]
    run = said.document["run"]
    del found["names"], found["begun_with"]
    assert found == {
        "herd": "ours",
        "pipeline": "p",
        "run": run,
        "slice": about["name"],
        "attempt": 1,
        "node": "local",
        "traceparent": span_of(RunId(run), SliceId(about["name"]), 1).traceparent,
        "day": "2013-07-04",
        "network": "none",
        "memory": 512 << 20,
        "herd_cpu": 4000,
    }


def test_a_slice_of_another_release_says_so_and_does_nothing():
    ours, its = socket.socketpair()
    data = msgspec.msgpack.encode({"version": VERSION + 1, "anything": SECRET})
    program = f"import sys; from runink.actors.slice import main; sys.exit(main(sys.stdin.buffer.read(), {its.fileno()}, []))"
    with ours:
        with its:
            ended = subprocess.run(
                [sys.executable, "-c", program],
                input=data,
                pass_fds=(its.fileno(),),
                capture_output=True,
                timeout=60,
                check=False,
            )
        frames = FrameReader()
        while received := ours.recv(1 << 16):
            frames.feed(received)
    assert ended.returncode == 1, ended
    body = frames.next()
    assert body is not None
    error = convert(decode(body), Failed).error
    assert isinstance(error, WireError)
    assert (error.code, SECRET in error.text) == ("document_version", False)


# Object stores.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "own")


@pytest.fixture(scope="module")
def store(authority: Authority) -> Iterator[ObjectStore]:
    """A server with a bucket, whose certificate is known to nobody but an authority of the test's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.node("store"))
    with ObjectStore(context, str(authority.file)).serving() as store:
        store.client.create_bucket(Bucket=BUCKET)
        store.client.put_object(Bucket=BUCKET, Key="in.csv", Body=IN)
        yield store


def in_profile(project: Project, store: ObjectStore) -> None:
    """Have a profile lead to the store, with a bundle that only the node can see by itself."""
    bundle = project.write("private/own.pem", Path(store.ca_bundle).read_bytes())
    project.write(
        "private/credentials",
        f"[lake]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {SECRET}\n",
    )
    project.write(
        "private/config",
        f"[profile lake]\nregion = {REGION}\nendpoint_url = {store.url}\nca_bundle = {bundle}\n",
    )
    project.environment |= {
        "AWS_PROFILE": "lake",
        "AWS_SHARED_CREDENTIALS_FILE": str(project.root / "private/credentials"),
        "AWS_CONFIG_FILE": str(project.root / "private/config"),
    }


def in_environment(project: Project, store: ObjectStore) -> None:
    project.environment |= store.environment | {"AWS_SECRET_ACCESS_KEY": SECRET}
    project.environment |= {"AWS_CA_BUNDLE": store.ca_bundle}


@pytest.mark.parametrize(
    ("said", "words"),
    [(in_environment, ()), (in_profile, ()), (in_profile, ("--no-isolation",))],
    ids=["environment", "profile", "plain"],
)
def test_an_object_store_is_reached_by_what_the_document_says_alone(
    project: Project,
    store: ObjectStore,
    said: Callable[[Project, ObjectStore], None],
    words: tuple[str, ...],
):
    said(project, store)
    project.step(
        '@step(each="record")\ndef work(row):\n    import os\n    print("env", sorted(os.environ))\n    return {**row, "b": 2}\n'
    )
    key = f"{'-'.join(words)}{said.__name__}.jsonl"
    project.pipeline(
        f'@source("csv+s3://{BUCKET}/in.csv")\n@step("work")\n@sink("jsonl+s3://{BUCKET}/{key}")'
    )
    ran = project.run("features/p.dsl", *words)
    assert ran.code == 0, ran
    assert store.read(BUCKET, key) == b'{"a":1,"b":2}\n{"a":2,"b":2}\n'
    logs = project.runi("logs", "last").out
    assert "AWS_" not in logs
    assert "PATH" in logs
    assert everywhere(project, SECRET) == []


def test_a_store_that_refuses_is_told_without_the_keys(project: Project, store: ObjectStore):
    in_environment(project, store)
    project.pipeline(f'@source("csv+s3://nowhere/in.csv")\n@sink("csv+s3://{BUCKET}/no.csv")')
    ran = project.run()
    assert ran.code == 1, ran
    assert "nowhere" in ran.error["text"]
    assert SECRET not in ran.out + ran.err + project.runi("logs", "last").out
    assert everywhere(project, SECRET) == []


def everywhere(project: Project, text: str) -> list[str]:
    """Return what of the node's state holds the text: its store, its records, logs and bundles."""
    return [
        path
        for path in project.files(".runink")
        if text.encode() in (project.root / path).read_bytes()
    ]


def test_no_process_of_the_node_but_its_own_has_keys_in_its_environment(
    project: Project, store: ObjectStore
):
    in_environment(project, store)
    with project.up() as child:
        found = {pid for pid in project.processes() if SECRET in proc_text(pid, "environ")}
        assert found <= {child.pid, os.getpid()}
