"""How a gang comes to life: its descriptors in the order that its jobs name them, and none left behind."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed
from runink.actors import launching
from runink.actors.launching import (
    Launch,
    Launching,
    Workplace,
    gang_descriptors,
    launches_of,
    slice_wanted,
)
from runink.barn.keyvalue import KeyValue
from runink.clients.barn import encode_value
from runink.contracts.hidden import Clearance
from runink.dag import Dag, Limit, Limits, Resources, Sink, Source
from runink.documents import SliceDocument, SliceSettings, decode_document
from runink.errors import Overloaded, Refused
from runink.herds.record import Declared, HerdRecord
from runink.identity.roles import Role
from runink.jobs import ChainJob, Prepared, PublishJob, Transport
from runink.names import BundleHash, HerdName, NodeId, RoleName, RunId, SliceId
from runink.networks import Network
from runink.runs.lifecycle import PUBLISH
from runink.runs.records import HerdLimits, RunRecord, RunState, SliceRecord, SliceState, Task
from runink.runs.traces import span_of
from runink.stores import NO_STORES, Keys, S3Store, Stores

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

HERD = HerdName("default")
RUN = RunId("0" * 26)


def run_of(dag: Dag, **changes: Any) -> RunRecord:
    record = RunRecord(
        RUN, HERD, dag.pipeline, dag.hash, "P", "p.dsl", "/p", BundleHash("b"), RunState.RUNNING, 1
    )
    return changed(record, **changes)


def record(name: str, **changes: Any) -> SliceRecord:
    made = SliceRecord(SliceId(name), RUN, HERD, "a", SliceState.PLACED, Resources())
    return changed(made, **changes)


def launches(dag: Dag, run: RunRecord, folder: Path, *names: str) -> list[Launch]:
    records = [record(name) for name in names]
    return launches_of(dag, run, records, {one.slice: one for one in records}, Workplace(folder))


def chain_job(launch: Launch) -> ChainJob:
    job = decode_document(launch.document).job
    assert isinstance(job, ChainJob)
    return job


def with_stdin(dag: Dag) -> Dag:
    nodes = tuple(
        changed(node, path="-") if isinstance(node, Source) else node for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def are_closed(descriptors: list[int]) -> bool:
    def is_closed(descriptor: int) -> bool:
        try:
            os.fstat(descriptor)
        except OSError:
            return True
        return False

    return all(map(is_closed, descriptors))


def test_each_slice_gets_its_ends_where_its_job_says(tmp_path: Path) -> None:
    dag = staged_dag("a", fan=2)
    records = [record(name, node=NodeId("here")) for name in ("a", "a-1")]
    slices = {one.slice: one for one in records}
    made = launches_of(dag, run_of(dag), records, slices, Workplace(tmp_path))
    jobs = [chain_job(one) for one in made]
    assert [port.descriptor for port in jobs[0].outputs] == [0]
    assert [port.descriptor for port in jobs[1].inputs] == [0]
    transports = [port.transport for job in jobs for port in (*job.inputs, *job.outputs)]
    assert transports == [Transport.SLOTS] * 2
    with gang_descriptors(made) as (((write,), (read,)), wires):
        assert not wires
        assert stat.S_ISSOCK(os.fstat(write).st_mode)
        os.write(write, b"x")
        assert os.read(read, 1) == b"x"
        assert not os.get_inheritable(write)
    assert are_closed([write, read])


@pytest.mark.parametrize(("mine", "is_output"), [("a", True), ("a-1", False)])
def test_of_an_edge_to_another_node_the_slice_has_one_end_and_the_relay_the_other(
    tmp_path: Path, mine: str, *, is_output: bool
) -> None:
    dag = staged_dag("a", fan=2)
    records = [record(name, node=NodeId(node)) for name, node in (("a", "here"), ("a-1", "there"))]
    slices = {one.slice: one for one in records}
    launched = [one for one in records if one.slice == mine]
    made = launches_of(dag, run_of(dag), launched, slices, Workplace(tmp_path))
    (port,) = (*chain_job(made[0]).outputs, *chain_job(made[0]).inputs)
    assert port.transport is Transport.WIRE
    with gang_descriptors(made) as (((ours,),), (wire,)):
        assert (wire.link, wire.is_output) == (port.link, is_output)
        write, read = (ours, wire.pipe) if is_output else (wire.pipe, ours)
        assert stat.S_ISFIFO(os.fstat(write).st_mode)
        os.write(write, b"x")
        assert os.read(read, 1) == b"x"
    assert are_closed([ours, wire.pipe])


def test_standard_input_comes_behind_the_pipes_and_blocks(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("rows")
    dag = with_stdin(staged_dag("a", fan=2))
    made = launches(dag, run_of(dag, stdin=str(tmp_path / "in")), tmp_path, "a", "a-1")
    job = chain_job(made[0])
    assert job.stdin == 1
    with gang_descriptors(made) as ((first, second), _):
        assert len(first) == 2
        assert len(second) == 1
        assert os.read(first[1], 10) == b"rows"
        assert os.get_blocking(first[1])


def fifo(path: Path) -> None:
    os.mkfifo(path)


def missing(path: Path) -> None:
    assert not path.exists()


def test_a_named_pipe_that_nobody_writes_to_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in")
    dag = with_stdin(staged_dag("a"))
    made = launches(dag, run_of(dag, stdin=str(tmp_path / "in")), tmp_path, "a")
    with gang_descriptors(made) as (((stdin,),), _):
        assert os.read(stdin, 1) == b""


@pytest.mark.parametrize(
    ("prepare", "field", "code"),
    [
        (missing, "stdin", "stdin_unusable"),
        (missing, "stdout", "stdout_unusable"),
        (fifo, "stdout", "stdout_unusable"),  # nobody reads from it
        (Path.mkdir, "stdout", "stdout_unusable"),
    ],
)
def test_a_standard_stream_that_cannot_be_opened_is_told_and_nothing_stays_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Path], object],
    field: str,
    code: str,
) -> None:
    prepare(tmp_path / "it")
    made: list[int] = []
    open_slots = launching.open_slots

    def noted() -> tuple[int, int]:
        made.extend(ends := open_slots())
        return ends

    monkeypatch.setattr(launching, "open_slots", noted)
    dag = staged_dag("a", fan=2)
    first, second = launches(dag, run_of(dag), tmp_path, "a", "a-1")
    broken = replace(second, **{field: str(tmp_path / "it")})
    with pytest.raises(Refused) as refused, gang_descriptors([first, broken]):
        raise AssertionError("it cannot come so far")
    assert refused.value.code == code
    assert len(made) == 2
    assert are_closed(made)


def test_a_lack_of_descriptors_closes_what_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    open_slots = launching.open_slots

    def scarce() -> tuple[int, int]:
        if len(made) >= 4:
            raise OSError(errno.EMFILE, "too many open files")
        made.extend(ends := open_slots())
        return ends

    monkeypatch.setattr(launching, "open_slots", scarce)
    dag = staged_dag("a", fan=2)
    gang = launches(dag, run_of(dag), tmp_path, "a", "a-1")
    port = gang[0].outputs[0]
    links = [changed(port.link, role=str(number)) for number in range(5)]
    wide = replace(gang[0], outputs=tuple(changed(port, link=link) for link in links))
    with pytest.raises(Overloaded, match="no more than 2"), gang_descriptors([wide]):
        raise AssertionError("it cannot come so far")
    assert are_closed(made)


def test_a_slice_that_ends_its_run_has_a_job_of_its_own(tmp_path: Path) -> None:
    dag = staged_dag("a")
    run = run_of(dag, state=RunState.COMMITTING, wall_time_s=7.0)
    publish = record(PUBLISH, task=Task.PUBLISH, gang="@publish")
    (made,) = launches_of(dag, run, [publish], {PUBLISH: publish}, Workplace(tmp_path))
    assert isinstance(decode_document(made.document).job, PublishJob)
    assert (made.scratch, made.inputs, made.outputs) == (None, (), ())
    assert made.wall_time_s == 7.0


def with_sink(dag: Dag, path: str) -> Dag:
    nodes = tuple(
        changed(node, uri=f"csv+{path}", path=path) if isinstance(node, Sink) else node
        for node in dag.nodes
    )
    slices = tuple(changed(spec, reaches=(path,)) for spec in dag.slices)
    return changed(dag, nodes=nodes, slices=slices)


def documents(dag: Dag, workplace: Workplace, one: SliceRecord) -> tuple[Launch, SliceDocument]:
    (launch,) = launches_of(dag, run_of(dag), [one], {one.slice: one}, workplace)
    return launch, decode_document(launch.document)


def test_a_slice_is_told_who_it_is_and_what_it_is_held_to(tmp_path: Path) -> None:
    dag = changed(staged_dag("a"), parameters={"day": "x"})
    limits = Limits(memory=Limit(1 << 30, 3), disk=Limit(1 << 20, 4))
    one = record("a", node=NodeId("n"), attempt=2, limits=limits, herd_limits=HerdLimits(4000, 5))
    context = documents(dag, Workplace(tmp_path), one)[1].context
    assert (context.herd, context.pipeline, context.run) == (HERD, dag.pipeline, RUN)
    assert (context.slice, context.attempt, context.node) == ("a", 2, "n")
    assert context.parameters == {"day": "x"}
    assert context.traceparent == span_of(RUN, SliceId("a"), 2).traceparent
    assert context.settings == SliceSettings(Network.NONE, 0, 1 << 30, 0, 1 << 20, 0, 4000, 5)


def test_keys_go_to_slices_whose_sources_or_sinks_need_them_and_to_no_others(
    tmp_path: Path,
) -> None:
    stores = Stores(S3Store(keys=Keys("E", "5ecret"), ca_bundle="/etc/own.pem"))
    workplace = Workplace(tmp_path, stores=stores)
    publish = record(PUBLISH, task=Task.PUBLISH, gang="@publish")
    for path, expected in [("out.csv", NO_STORES), ("s3://b/out.csv", stores)]:
        dag = with_sink(staged_dag("a"), path)
        for one in (record("a"), publish):
            run = run_of(dag, prepared=(prepared_at(path),))
            (launch,) = launches_of(dag, run, [one], {one.slice: one}, workplace)
            document = decode_document(launch.document)
            assert document.stores == expected, (path, one.task)
            assert ("/etc/own.pem" in launch.shown) is (expected is stores)
            assert ("/etc/own.pem" in launch.record.shown) is (expected is stores)
            assert "5ecret" not in repr(launch)


def prepared_at(path: str) -> Prepared:
    return Prepared("a.sink", f"csv+{path}", "multipart", "", path, "overwrite", 1, 1, "")


def test_nothing_of_the_agents_environment_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "RUNINK_ANYTHING", "SECRET_OF_SOMEBODY"):
        monkeypatch.setenv(name, "5ecret")
    (launch,) = launches(staged_dag("a"), run_of(staged_dag("a")), tmp_path, "a")
    wanted = slice_wanted(launch, [], [], is_plain=False, policy="")
    assert wanted.environment == {}
    assert b"5ecret" not in launch.document


def clearing(dag: Dag, **said: Any) -> Dag:
    nodes = tuple(
        changed(node, clearance=Clearance(**said)) if isinstance(node, Sink) else node
        for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def test_only_a_slice_with_a_mask_that_needs_the_herds_key_is_given_it(tmp_path: Path) -> None:
    plain = staged_dag("a")
    (without,) = launches(plain, run_of(plain), tmp_path, "a")
    assert decode_document(without.document).masking_key.data == b""
    assert not (tmp_path / "keys").exists()
    keyed = clearing(plain, needs_key=True)
    (first,) = launches(keyed, run_of(keyed), tmp_path, "a")
    (again,) = launches(keyed, run_of(keyed), tmp_path, "a")
    keys = {decode_document(one.document).masking_key.data for one in (first, again)}
    assert len(keys) == 1
    assert keys == {bytes.fromhex((tmp_path / "keys/default.key").read_text())}


def test_a_key_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("no folder")
    dag = clearing(staged_dag("a"), needs_key=True)
    with pytest.raises(Refused) as caught:
        launches(dag, run_of(dag), tmp_path, "a")
    assert caught.value.code == "mask_key"


@pytest.mark.parametrize("declared", [None, Declared(1, 1, "ann")])
def test_roles_count_where_their_herd_was_declared(declared: Declared | None) -> None:
    roles = (Role(RoleName("finance"), HerdName("default"), ()),)
    herd = HerdRecord(HerdName("default"), roles=roles, declared=declared)
    launching = Launching(frozenset())
    launching.heed([KeyValue("/herds/default", encode_value(herd), 1, 1, 1)])
    assert launching.roles == (roles if declared is not None else None)
