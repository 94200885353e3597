"""Sinks and sources on S3, against moto's server in a process of its own: published whole, discarded whole, killed anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from runink.connectors.publishing import discard, leftovers, publish
from runink.connectors.remote_files import filesystem_of
from runink.connectors.s3_uploads import Bucket
from runink.connectors.sinks import open_sink
from runink.connectors.sources import open_source
from runink.dag import Format, Mode, Sink, Source
from runink.errors import Conflict, NotFound, Refused, RuninkError
from runink.jobs import Prepared, Ticket
from runink.names import RunId, SliceId, run_id
from runink.pipes.batch import Batch
from runink.stores import NO_STORES

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
BUCKET = "pens"
LARGE = Batch(pa.record_batch({"a": ["x" * 1_000_000] * 10}), "memory", 0)
SMALL = Batch(pa.record_batch({"a": ["y"]}), "memory", 0)
STORY_S = 280  # a quiet machine takes a few seconds
POINTS_MAX = 60  # an upload of two parts has about 10 calls


def new_run() -> RunId:
    return run_id(now_ms=time.time_ns() // 1_000_000, entropy=os.urandom(10))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, and an environment in which S3 is the test's server."""
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    filesystem, _ = filesystem_of(f"s3://{BUCKET}", NO_STORES)
    filesystem.call_s3("create_bucket", Bucket=BUCKET)
    yield filesystem
    for upload in filesystem.call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads", ()):
        which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
        filesystem.call_s3("abort_multipart_upload", Bucket=BUCKET, **which)
    for key in objects():
        filesystem.call_s3("delete_object", Bucket=BUCKET, Key=key)
    filesystem.call_s3("delete_bucket", Bucket=BUCKET)


def environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _call(method: str, **arguments: Any) -> Any:
    filesystem, _ = filesystem_of(f"s3://{BUCKET}", NO_STORES)
    return filesystem.call_s3(method, Bucket=BUCKET, **arguments)


def objects() -> dict[str, int]:
    found = _call("list_objects_v2").get("Contents", ())
    return {one["Key"]: one["Size"] for one in found}


def uploads() -> list[str]:
    return [one["Key"] for one in _call("list_multipart_uploads").get("Uploads", ())]


def sink(key: str, kind: Format = Format.CSV, **more: Any) -> Sink:
    return Sink(
        "out", "s", f"{kind.value}+s3://{BUCKET}/{key}", kind, f"s3://{BUCKET}/{key}", **more
    )


def write(node: Sink, root: Path, *given: Batch, ticket: Ticket) -> Prepared:
    writer = open_sink(node, root=root, ticket=ticket, stdout_fd=None)
    for batch in given:
        writer.write(batch)
    return writer.prepare()


def read(path: str, root: Path, kind: Format = Format.CSV) -> int:
    node = Source("in", "s", path, kind, f"s3://{BUCKET}/{path}")
    batches = open_source(node, root=root, staged=(), stdin_fd=None).batches()
    return sum(batch.data.num_rows for batch in batches)


@pytest.fixture
def ticket() -> Ticket:
    return Ticket(new_run(), SliceId("bronze"), 1)


@pytest.mark.usefixtures("bucket")
class TestUploads:
    @pytest.mark.parametrize("mode", list(Mode))
    def test_nothing_is_visible_before_it_is_published_and_then_all(
        self, tmp_path: Path, ticket: Ticket, mode: Mode
    ) -> None:
        prepared = write(sink("x/a.csv", mode=mode), tmp_path, LARGE, SMALL, ticket=ticket)
        assert prepared.kind == "multipart"
        assert (len(prepared.extra["parts"]), objects(), len(uploads())) == (2, {}, 1)
        for _ in range(3):
            publish(prepared)
        assert list(objects().values()) == [prepared.bytes]
        assert uploads() == []
        assert read("x/a.csv", tmp_path) == 11
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("kind", list(Format))
    def test_every_format_comes_back(self, tmp_path: Path, ticket: Ticket, kind: Format) -> None:
        publish(write(sink("a", kind), tmp_path, SMALL, ticket=ticket))
        assert read("a", tmp_path, kind) == 1

    def test_an_object_of_no_bytes_is_one(self, tmp_path: Path, ticket: Ticket) -> None:
        publish(write(sink("a.jsonl", Format.JSONL), tmp_path, ticket=ticket))
        assert objects() == {"a.jsonl": 0}

    def test_appended_parts_are_read_together(self, tmp_path: Path, ticket: Ticket) -> None:
        node = sink("a.csv", mode=Mode.APPEND)
        publish(write(node, tmp_path, SMALL, ticket=ticket))
        publish(write(node, tmp_path, SMALL, ticket=Ticket(ticket.run, ticket.slice, 2)))
        publish(write(node, tmp_path, SMALL, ticket=Ticket(new_run(), ticket.slice, 1)))
        assert len(objects()) == 2
        assert read("a.csv", tmp_path) == read("a.csv/*.csv", tmp_path) == 2

    def test_a_discarded_upload_leaves_the_old_object(self, tmp_path: Path, ticket: Ticket) -> None:
        publish(write(sink("a.csv"), tmp_path, SMALL, ticket=ticket))
        old = objects()
        prepared = write(sink("a.csv"), tmp_path, LARGE, ticket=Ticket(new_run(), ticket.slice, 1))
        discard(prepared)
        discard(prepared)
        assert (objects(), uploads()) == (old, [])
        with pytest.raises(Conflict) as caught:
            publish(prepared)
        assert caught.value.code == "sink_aside_lost"

    def test_leftovers_are_the_tickets_own(self, tmp_path: Path, ticket: Ticket) -> None:
        node = sink("a.csv")
        other = Ticket(ticket.run, ticket.slice, 2)
        open_sink(node, root=tmp_path, ticket=ticket, stdout_fd=None).write(LARGE)
        prepared = write(node, tmp_path, SMALL, ticket=other)
        foreign = _call("create_multipart_upload", Key="a.csv.other")
        for _ in range(2):
            leftovers(node, root=tmp_path, ticket=ticket)
        assert sorted(uploads()) == ["a.csv", "a.csv.other"]
        publish(prepared)
        _call("abort_multipart_upload", Key="a.csv.other", UploadId=foreign["UploadId"])

    def test_mode_error_leaves_alone_what_is_there_or_comes_meanwhile(
        self, tmp_path: Path, ticket: Ticket
    ) -> None:
        node = sink("a.csv", mode=Mode.ERROR)
        prepared = write(node, tmp_path, SMALL, ticket=ticket)
        _call("put_object", Key="a.csv", Body=b"another's")
        with pytest.raises(Conflict) as caught:
            publish(prepared)
        assert caught.value.code == "sink_exists"
        discard(prepared)
        with pytest.raises(Conflict):
            write(node, tmp_path, SMALL, ticket=ticket)
        assert (objects(), uploads()) == ({"a.csv": 9}, [])

    def test_a_dead_letter_lies_aside_here(self, tmp_path: Path, ticket: Ticket) -> None:
        node = sink("dead.jsonl", Format.JSONL, dead_letter=True)
        prepared = write(node, tmp_path, SMALL, ticket=ticket)
        assert (prepared.kind, objects(), uploads()) == ("file", {}, [])
        for _ in range(2):
            publish(prepared)
        assert objects() == {"dead.jsonl": prepared.bytes}
        assert not Path(prepared.aside).exists()

    def test_what_is_not_there_is_told(self, tmp_path: Path, ticket: Ticket) -> None:
        for path in ("none.csv", "none/*.csv"):
            with pytest.raises(NotFound):
                read(path, tmp_path)
        with pytest.raises(NotFound) as caught:
            write(Sink("out", "s", "csv", Format.CSV, "s3://nosuch/a.csv"), tmp_path, ticket=ticket)
        assert "bucket" in caught.value.hint
        with pytest.raises(Refused):
            write(Sink("out", "s", "csv", Format.CSV, f"s3://{BUCKET}"), tmp_path, ticket=ticket)

    def test_files_that_begin_with_a_dot_are_no_part_of_a_glob(
        self, tmp_path: Path, ticket: Ticket
    ) -> None:
        publish(write(sink("d/a.csv"), tmp_path, SMALL, ticket=ticket))
        publish(write(sink("d/.b.csv"), tmp_path, SMALL, ticket=ticket))
        assert read("d/*", tmp_path) == 1


# Killed anywhere.


def plant(place: int) -> None:
    """From now on, die behind the request of that number, which is in front of the next."""
    count = 0
    ask = Bucket._raw

    def asked(self: Bucket, *arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count != place:
            return ask(self, *arguments, **named)
        try:
            ask(self, *arguments, **named)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
        return None

    Bucket._raw = asked  # type: ignore[method-assign] # the planted fault


def in_child(story: Callable[[], object]) -> bool:
    """Run it in a process of its own; say whether it came to its end. Raises if it failed by itself."""
    child = os.fork()
    if child == 0:
        try:
            story()
        except BaseException:  # noqa: BLE001 - a forked child must not return into the test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return not os.WIFSIGNALED(status)


def drive(root: Path) -> None:
    """Die at each request of a write and a publish, then clear up or roll forward; the driver itself never talks to S3."""
    node = sink("a.csv")
    old = Ticket(new_run(), SliceId("bronze"), 1)
    assert in_child(lambda: _call("create_bucket"))
    assert in_child(lambda: publish(write(node, root, SMALL, ticket=old)))
    sys.stdout.write(f"{_killed_while_writing(node, root)} {_killed_while_publishing(node, root)}")


def _killed_while_writing(node: Sink, root: Path) -> int:
    for place in range(1, POINTS_MAX):
        ticket = Ticket(new_run(), SliceId("bronze"), 1)

        def story(place: int = place, ticket: Ticket = ticket) -> None:
            plant(place)
            write(node, root, LARGE, ticket=ticket)

        def clear(ticket: Ticket = ticket) -> None:
            leftovers(node, root=root, ticket=ticket)
            assert uploads() == []
            assert objects() == {"a.csv": 4}

        ended = in_child(story)
        assert in_child(clear), place
        if ended:
            return place
    raise AssertionError("a story without an end")


def _killed_while_publishing(node: Sink, root: Path) -> int:
    record = root / "prepared"
    for place in range(1, POINTS_MAX):

        def prepare() -> None:
            ticket = Ticket(new_run(), SliceId("bronze"), 1)
            prepared = write(node, root, LARGE, ticket=ticket)
            record.write_bytes(msgspec.json.encode(prepared))

        assert in_child(prepare)
        found = msgspec.json.decode(record.read_bytes(), type=Prepared)

        def story(place: int = place, found: Prepared = found) -> None:
            plant(place)
            publish(found)

        def forward(found: Prepared = found) -> None:
            publish(found)
            publish(found)
            assert uploads() == []
            assert objects() == {"a.csv": found.bytes}

        ended = in_child(story)
        assert in_child(forward), place
        if ended:
            return place
    raise AssertionError("a story without an end")


def test_killed_at_any_request_the_object_is_old_or_new_and_no_upload_stays(
    tmp_path: Path, endpoint: str
) -> None:
    ended = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=STORY_S,
        check=False,
        env={**os.environ, **environment(endpoint)},
    )
    assert ended.returncode == 0, ended.stderr
    writing, publishing = map(int, ended.stdout.split())
    assert writing > 5
    assert publishing > 1


def test_an_endpoint_that_is_not_there_is_told(
    tmp_path: Path, ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    type(filesystem_of(f"s3://{BUCKET}", NO_STORES)[0]).clear_instance_cache()
    with pytest.raises(RuninkError) as caught:
        write(sink("a.csv"), tmp_path, ticket=ticket)
    assert caught.value.code == "remote_failed"
    assert "AWS_ENDPOINT_URL" in caught.value.hint


if __name__ == "__main__":
    drive(Path(sys.argv[1]))
