"""The first rows of what a run has published, over the API: of every format, only as it was published, and as each reader may see them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import anyio
import pyarrow as pa
import pytest
from msgspec.structs import replace as changed
from run_records import RUN, dag_of, put_run, run_record, slice_record
from runink.barn.keys import herd_key, pipeline_key
from runink.connectors.sinks import open_sink
from runink.dag import Format, Sink
from runink.errors import Invalid, NotFound, Refused, RuninkError, Unavailable
from runink.herds.record import HerdRecord
from runink.jobs import Prepared, Ticket
from runink.names import HerdName, SliceId
from runink.operations.catalog import samples
from runink.pipes.batch import Batch
from runink.runs.clearing import PUBLISH
from runink.runs.records import PipelineRecord, RunState, SliceState, Task
from runink.services import written_rows
from runink.testing.served import Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, STEW, BEN = person("ann"), person("stew"), person("ben")
READERS = [
    bound("ann", "viewer", ANN.subject, herd="sales"),
    bound("stew", "steward", STEW.subject, herd="sales"),
]
SINK = "gold.sink"
TICKET = Ticket(RUN, SliceId("gold"), 1)
ROWS = [{"id": place, "email": f'e{place}@x\n"quoted"'} for place in range(50)]


def written(folder: Path, name: str, kind: Format, rows: list[dict[str, Any]]) -> bytes:
    """Return a file as a sink writes it."""
    sink = Sink(SINK, "gold", name, kind, name)
    writer = open_sink(sink, root=folder, ticket=TICKET, stdout_fd=None)
    for data in pa.Table.from_pylist(rows).to_batches():
        writer.write(Batch(data, "x", 0))
    return Path(writer.prepare().aside).read_bytes()


def zstandard(data: bytes) -> bytes:
    packed = pa.compress(data, "zstd", asbytes=True)
    return bytes(packed)


def jsonl(folder: Path, rows: list[dict[str, Any]] = ROWS) -> bytes:
    return written(folder, "written.jsonl", Format.JSONL, rows)


async def publish(cluster: Served, path: Path, data: bytes, form: Format = Format.JSONL, **more: Any) -> None:  # fmt: skip
    """Put a run that has published a file, and the file."""
    await anyio.Path(path).write_bytes(data)
    await cluster.barn.put(herd_key(HerdName("sales")), HerdRecord(HerdName("sales")))
    digest = hashlib.sha256(data).hexdigest()
    one = Prepared(SINK, f"{form.value}://{path.name}", "file", "", str(path), "overwrite", len(ROWS), len(data), digest)  # fmt: skip
    record = run_record("sales", state=RunState.SUCCEEDED, prepared=(changed(one, **more),))
    part = slice_record(record, PUBLISH, task=Task.PUBLISH, state=SliceState.SUCCEEDED)
    await put_run(cluster.barn, record, part)
    dag = dag_of("sales")
    sink = Sink(SINK, "gold", one.uri, form, path.name)
    nodes = tuple(sink if node.id == SINK else node for node in dag.nodes)
    key = pipeline_key(record.herd, record.pipeline, record.version)
    await cluster.barn.put(key, PipelineRecord(changed(dag, nodes=nodes)))


async def sample(cluster: Served, by: Any = STEW, **asked: Any) -> Any:
    return await cluster.ask(samples.GET, by, herd="sales", run=RUN, **{"sink": SINK} | asked)


async def refused(cluster: Served, **asked: Any) -> str:
    with pytest.raises(RuninkError) as info:
        await sample(cluster, **asked)
    return info.value.code


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("out.csv", Format.CSV),
        ("out.csv.gz", Format.CSV),
        ("out.jsonl", Format.JSONL),
        ("out.jsonl.zst", Format.JSONL),
        ("out.json", Format.JSON),
        ("out.parquet", Format.PARQUET),
        ("out.arrow", Format.ARROW),
    ],
)
async def test_the_first_rows_of_a_file_are_read_whatever_its_format(name: str, kind: Format, tmp_path: Path) -> None:  # fmt: skip
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        await publish(cluster, tmp_path / name, written(tmp_path, name, kind, ROWS), kind)
        (listed,) = (await cluster.ask(samples.LIST, STEW, herd="sales", run=RUN)).items
        assert (listed.sink, listed.format, listed.rows, listed.is_readable) == (SINK, kind.value, 50, True)  # fmt: skip
        few = await sample(cluster, rows=3)
        assert (list(few.rows), few.is_all) == (ROWS[:3], False)
        every = await sample(cluster, rows=50)
        assert (list(every.rows), every.is_all) == (ROWS, True)


async def test_a_reader_sees_marked_fields_as_their_roles_show_them(tmp_path: Path) -> None:
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        await publish(cluster, tmp_path / "out.jsonl", jsonl(tmp_path))
        assert (await sample(cluster, STEW, rows=1)).rows[0] == ROWS[0]
        covered = (await sample(cluster, ANN, rows=1)).rows[0]
        assert covered["id"] == 0
        assert "e0@x" not in str(covered)


async def test_a_file_that_is_another_by_now_is_gone(tmp_path: Path) -> None:
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        path = tmp_path / "out.jsonl"
        data = jsonl(tmp_path)
        await publish(cluster, path, data)
        path.write_bytes(data.replace(b"e0@x", b"e9@x"))
        assert await refused(cluster) == "sample_gone"
        path.write_bytes(data + b"{}\n")
        assert await refused(cluster) == "sample_gone"
        path.unlink()
        path.symlink_to("/etc/hostname")
        assert await refused(cluster) == "sample_gone"


async def test_what_lies_elsewhere_or_is_no_output_is_told(tmp_path: Path) -> None:
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        await publish(cluster, tmp_path / "x", b"")
        assert await refused(cluster, sink="gold.dead") == "no_sample"
        assert await refused(cluster, sink="other") == "no_sample"
        for more in ({"kind": "multipart", "target": "s3://lake/x"}, {"kind": "stream"}):
            path = tmp_path / "x"
            await publish(cluster, path, b"", Format.JSONL, **more)
            assert await refused(cluster) == "sample_elsewhere"
    async with served(nodes={"w2": tmp_path}, bindings=READERS) as cluster:
        await publish(cluster, tmp_path / "x", b"{}\n")
        assert await refused(cluster) == "node_away"


async def test_a_run_that_has_not_succeeded_has_no_samples() -> None:
    async with served(bindings=READERS) as cluster:
        output = Prepared(SINK, "csv://out.csv", "file", "", "/out.csv", "overwrite", 7, 9, "")
        for state in (RunState.RUNNING, RunState.FAILED):
            await put_run(cluster.barn, run_record("sales", state=state, prepared=(output,)))
            assert (await cluster.ask(samples.LIST, STEW, herd="sales", run=RUN)).items == ()
            assert await refused(cluster) == "no_sample"


@pytest.mark.parametrize("kind", list(Format))
async def test_a_file_that_is_not_what_its_name_says_is_told_and_nothing_else_happens(kind: Format, tmp_path: Path) -> None:  # fmt: skip
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        whole = written(tmp_path, f"out.{kind.value}", kind, ROWS)
        for data in (b"\xff\x00" * 999, whole[: len(whole) // 2] + b"\xff" * 9):
            await publish(cluster, tmp_path / f"out.{kind.value}", data, kind)
            with pytest.raises(Invalid):
                await sample(cluster, STEW, rows=50)
            with pytest.raises(Invalid) as told:
                await sample(cluster, ANN, rows=50)
            assert told.value.code == "rows_damaged"
            assert told.value.text.endswith(f"cannot be read as {kind.value}"), "it quotes nothing"


async def test_rows_of_megabytes_are_fewer_than_were_asked_for(tmp_path: Path) -> None:
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        rows = [{"id": place, "email": "x" * (700 << 10)} for place in range(6)]
        await publish(cluster, tmp_path / "out.jsonl", jsonl(tmp_path, rows))
        found = await sample(cluster, rows=6)
        assert (len(found.rows), found.is_all) == (3, False)


async def test_a_bomb_takes_neither_the_memory_nor_the_time_of_the_server(tmp_path: Path) -> None:
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        # Two gigabytes in one value; pieces that are compressed apart are one stream.
        body = zstandard(b"x" * (16 << 20)) * 128
        stream = zstandard(b'{"id": "') + body + zstandard(b'"}\n')
        await publish(cluster, tmp_path / "out.jsonl.zst", stream)
        with pytest.raises(Invalid) as told:
            await sample(cluster, rows=1)
        assert told.value.text.startswith("jsonl://out.jsonl.zst: the record that begins in line 1")


async def test_a_large_file_is_looked_through_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """A node that says how far it is, is asked again."""
    monkeypatch.setattr("runink.actors.written_files.HASH_S", 0.0)  # one piece at a time
    monkeypatch.setattr("runink.actors.written_files.HASH_BYTES", 1000)
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        data = jsonl(tmp_path)
        assert 1000 < len(data) < 1000 * written_rows.LOOKS_MAX
        await publish(cluster, tmp_path / "out.jsonl", data)
        assert len((await sample(cluster)).rows) == 20
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        await publish(cluster, tmp_path / "out.jsonl", jsonl(tmp_path, ROWS * 20))
        with pytest.raises(Unavailable) as told:
            await sample(cluster)
        assert told.value.code == "being_checked"
        with pytest.raises((Unavailable, NotFound, Refused)):
            await sample(cluster, sink="gold.dead")
