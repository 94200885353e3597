"""Pipelines from and to an object store: read, written, rerun, failed, and killed while a request to it is under way.

Whatever happens, the object is old or new as a whole, and no upload stays open.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Iterator

import anyio
import pyarrow.parquet as pq
import pytest
from barn_group import until
from object_store import Held, ObjectStore
from runi_project import Project
from runink.barn.keys import SLICES
from runink.clients.connecting import connected
from runink.config import NodeSettings, offered
from runink.runs.records import SliceRecord, SliceState

BUCKET = "lake"
IN = b"a,b\n1,x\n2,y\n3,z\n"
ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
OLD = b"was there before"


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with ObjectStore().serving() as store:
        yield store


@pytest.fixture
def store(server: ObjectStore) -> ObjectStore:
    """The server with an empty bucket that has one input and one output of an earlier run."""
    if BUCKET in [one["Name"] for one in server.client.list_buckets()["Buckets"]]:
        for key in server.keys(BUCKET):
            server.client.delete_object(Bucket=BUCKET, Key=key)
        assert server.uploads(BUCKET) == []
    else:
        server.client.create_bucket(Bucket=BUCKET)
    server.client.put_object(Bucket=BUCKET, Key="in.csv", Body=IN)
    server.client.put_object(Bucket=BUCKET, Key="out.parquet", Body=OLD)
    return server


@pytest.fixture
def lake(project: Project, store: ObjectStore) -> Project:
    project.environment |= store.environment
    sink(project, "")
    project.write("small.csv", "a\n1\n")
    project.pipeline(
        '@source("csv://small.csv")\n@sink("jsonl://small.jsonl")', file="features/small.dsl"
    )
    return project


def sink(project: Project, options: str, more: str = "") -> None:
    project.pipeline(
        f'@source("csv+s3://{BUCKET}/in.csv")\n{more}@sink("parquet+s3://{BUCKET}/out.parquet"{options})'
    )


def rows(store: ObjectStore, key: str = "out.parquet") -> list[dict[str, object]]:
    return pq.read_table(io.BytesIO(store.read(BUCKET, key))).to_pylist()


def check_clean(store: ObjectStore, *keys: str) -> None:
    assert store.keys(BUCKET) == sorted(("in.csv", *keys))
    assert store.uploads(BUCKET) == []


def test_rows_go_from_an_object_to_an_object(lake: Project, store: ObjectStore):
    said = lake.run()
    assert said.code == 0, said
    assert said.document["outputs"][0]["uri"] == f"parquet+s3://{BUCKET}/out.parquet"
    assert rows(store) == ROWS
    check_clean(store, "out.parquet")


def test_a_rerun_gives_the_same_bytes(lake: Project, store: ObjectStore):
    assert lake.run().code == 0
    first = store.read(BUCKET, "out.parquet")
    assert lake.run().code == 0
    assert store.read(BUCKET, "out.parquet") == first
    check_clean(store, "out.parquet")


def test_a_run_that_fails_leaves_the_object_and_no_upload(lake: Project, store: ObjectStore):
    lake.step('@step(each="record")\ndef work(row):\n    raise ValueError("no")\n')
    sink(lake, "", '@step("work")\n')
    said = lake.run()
    assert said.code == 1, said
    assert said.error["code"] == "step_raised"
    assert store.read(BUCKET, "out.parquet") == OLD
    check_clean(store, "out.parquet")


def test_mode_error_leaves_an_object_that_is_there_alone(lake: Project, store: ObjectStore):
    sink(lake, ", mode=error")
    said = lake.run()
    assert said.code == 1, said
    assert said.error["code"] == "sink_exists"
    assert store.read(BUCKET, "out.parquet") == OLD
    check_clean(store, "out.parquet")
    store.client.delete_object(Bucket=BUCKET, Key="out.parquet")
    assert lake.run().code == 0
    assert rows(store) == ROWS


def test_mode_append_adds_a_part_a_run(lake: Project, store: ObjectStore):
    store.client.delete_object(Bucket=BUCKET, Key="out.parquet")
    sink(lake, ", mode=append")
    assert lake.run().code == 0
    assert lake.run().code == 0
    parts = [key for key in store.keys(BUCKET) if key.startswith("out.parquet/part-")]
    assert len(parts) == 2
    assert [rows(store, part) for part in parts] == [ROWS, ROWS]
    check_clean(store, *parts)


def test_an_object_that_is_not_there_is_told_with_its_name(lake: Project, store: ObjectStore):
    store.client.delete_object(Bucket=BUCKET, Key="in.csv")
    said = lake.run()
    assert said.code == 1, said
    assert said.error["code"] == "remote_not_found"
    assert f"s3://{BUCKET}/in.csv" in said.error["text"]
    assert store.read(BUCKET, "out.parquet") == OLD
    assert store.uploads(BUCKET) == []


def test_a_bucket_that_is_not_there_is_told_with_its_name(lake: Project, store: ObjectStore):
    lake.pipeline('@source("csv://small.csv")\n@sink("parquet+s3://nowhere/out.parquet")')
    said = lake.run()
    assert said.code == 1, said
    assert "nowhere" in said.error["text"]
    assert "Traceback" not in said.err


def killed_at(project: Project, held: Held, *, is_dropped: bool = True) -> None:
    """Run the pipeline, and kill it with -9 while the request is held."""
    child = project.popen("run", "features/p.dsl", stderr=subprocess.DEVNULL)
    held.wait()
    child.kill()
    child.communicate(timeout=60)
    if is_dropped:
        held.drop()
    else:
        held.let_go()


def next_start(project: Project) -> str:
    """Start another cluster, and return the state that the killed run has then."""
    again = project.runi("run", "features/small.dsl", "-q")
    assert again.code == 0, again
    newest, killed = project.runi("runs", "-o", "json").document
    assert newest["state"] == "succeeded"
    return killed["state"]


def test_killed_in_the_middle_of_an_upload_the_next_start_takes_it_away(
    lake: Project, store: ObjectStore
):
    killed_at(lake, store.hold("PUT", "out.parquet", "partNumber=3"))
    assert store.read(BUCKET, "out.parquet") == OLD
    assert store.uploads(BUCKET) == ["out.parquet"]
    assert next_start(lake) == "failed"
    assert store.read(BUCKET, "out.parquet") == OLD
    check_clean(store, "out.parquet")


def test_killed_before_an_upload_has_begun_the_next_start_takes_away_what_came_of_it(
    lake: Project, store: ObjectStore
):
    killed_at(lake, store.hold("POST", "out.parquet", "uploads"), is_dropped=False)
    assert next_start(lake) == "failed"
    assert store.read(BUCKET, "out.parquet") == OLD
    check_clean(store, "out.parquet")


def test_killed_between_prepare_and_publish_the_next_start_publishes(
    lake: Project, store: ObjectStore
):
    killed_at(lake, store.hold("POST", "out.parquet", "uploadId"))
    assert store.read(BUCKET, "out.parquet") == OLD
    assert next_start(lake) == "succeeded"
    assert rows(store) == ROWS
    check_clean(store, "out.parquet")


def test_killed_while_a_publish_is_under_way_that_still_arrives_nothing_is_done_twice(
    lake: Project, store: ObjectStore
):
    killed_at(lake, store.hold("POST", "out.parquet", "uploadId"), is_dropped=False)
    assert next_start(lake) == "succeeded"
    assert rows(store) == ROWS
    check_clean(store, "out.parquet")


def two_sinks(project: Project, mode: str = "overwrite") -> None:
    project.pipeline(
        f'@source("csv+s3://{BUCKET}/in.csv")\n'
        f'@sink("jsonl://out/o.jsonl", mode={mode})\n'
        f'@sink("parquet+s3://{BUCKET}/out.parquet")\n'
    )


def test_killed_between_two_publishes_the_next_start_finishes_the_second(
    lake: Project, store: ObjectStore
):
    two_sinks(lake, "error")  # what may be refused is published first
    killed_at(lake, store.hold("POST", "out.parquet", "uploadId"))
    assert lake.rows("out/o.jsonl") == ROWS, "the first is published"
    assert store.read(BUCKET, "out.parquet") == OLD, "the second is not"
    assert next_start(lake) == "succeeded"
    assert lake.rows("out/o.jsonl") == ROWS
    assert rows(store) == ROWS
    assert lake.files("out") == ["out/o.jsonl"]
    check_clean(store, "out.parquet")


def publishing_pid(project: Project) -> int:
    """Return the process that publishes, when its record says so: it may have asked for something before."""

    async def whole() -> int:
        async with connected(
            NodeSettings(state=project.root / ".runink", capacity=offered())
        ) as cluster:

            async def found() -> int:
                listing = await cluster.barn.range(SLICES.prefix(), SliceRecord)
                slices = [one.value for one in listing.items if one.value.slice == "@publish"]
                pids = [one.pid for one in slices if one.state is SliceState.RUNNING]
                return pids[0] if pids else 0

            return await until(found, "a slice that publishes")

    return anyio.run(whole)


def test_a_publishing_slice_that_is_killed_is_followed_by_one_that_finishes(
    lake: Project, store: ObjectStore
):
    two_sinks(lake)
    held = store.hold("POST", "out.parquet", "uploadId")
    with lake.popen("run", "features/p.dsl", "-o", "json") as child:
        held.wait()
        os.kill(publishing_pid(lake), signal.SIGKILL)
        out, err = child.communicate(timeout=60)
        held.drop()
    assert child.returncode == 0, (out, err)
    assert lake.rows("out/o.jsonl") == ROWS
    assert rows(store) == ROWS
    assert lake.files("out") == ["out/o.jsonl"]
    check_clean(store, "out.parquet")


def test_a_store_that_fails_for_a_moment_is_asked_again(lake: Project, store: ObjectStore):
    held = store.hold("POST", "out.parquet", "uploadId")
    with lake.popen("run", "features/p.dsl", "-o", "json") as child:
        held.wait()
        held.drop()
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, (out, err)
    assert rows(store) == ROWS
    check_clean(store, "out.parquet")


def test_a_run_that_publishes_is_not_cancelled_any_more(lake: Project, store: ObjectStore):
    held = store.hold("POST", "out.parquet", "uploadId")
    with lake.popen("run", "features/p.dsl", "-o", "json") as child:
        held.wait()
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        while b"cancelling" not in child.stderr.readline():
            assert child.poll() is None
        held.let_go()
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, (out, err)
    assert rows(store) == ROWS
    check_clean(store, "out.parquet")
