"""What runs leave behind, over the API: lineage, quality, and the rows that they rejected."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace as changed
from run_records import LETTER, RUN, dag_of, put_failed, put_run, run_at, run_record, slice_record
from runink.barn.keys import herd_key, lineage_key
from runink.errors import Invalid, NotFound, Refused, Unavailable
from runink.governance.lineage import Lineage
from runink.herds.record import HerdRecord
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.jobs import Done, Prepared
from runink.names import BindingName, HerdName, RoleName
from runink.operations.calls import Position
from runink.operations.catalog import facts
from runink.runs.clearing import PUBLISH
from runink.runs.jobs import kept_dead_letter
from runink.runs.records import RunRecord, RunState, SliceState, Task
from runink.services import written_rows
from runink.testing.served import Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, STEW = person("ann"), person("stew")
READERS = [
    bound("ann", "viewer", ANN.subject, herd="sales"),
    bound("stew", "steward", STEW.subject, herd="sales"),
]
ROWS = [
    {
        "id": str(place),
        "email": f"e{place}@x",
        "note": "n",
        "dead_reasons": [
            {"field": "id", "rule": "type", "message": f"id is {place}, not a number"},
            {"field": "email", "rule": "format", "message": f"email is 'e{place}@x'"},
        ],
        "dead_step": "gold.check",
        "dead_origin": "orders.csv",
        "dead_row": place,
    }
    for place in range(5)
]


async def test_a_run_s_lineage_says_what_it_read_did_and_wrote():
    async with served() as cluster:
        await put_failed(cluster.barn, "sales")
        told = await cluster.ask(facts.LINEAGE, herd="sales", run=RUN)
        source, check, *_ = told.stages
        assert (source.kind, source.uri, source.rows_out) == ("source", "csv://orders.csv", 10)
        assert (check.rows_in, check.rows_out, check.rejected) == (10, 7, 3)
        assert [(one.uri, one.rows, one.role) for one in told.outputs] == [("jsonl://dead.jsonl", 3, "")]  # fmt: skip
        assert told.edges[0].rows == 10


async def test_facts_of_a_run_that_lives_are_not_there_yet():
    async with served() as cluster:
        await put_run(cluster.barn, run_record("sales", paused=True))
        for operation in (facts.LINEAGE, facts.QUALITY):
            with pytest.raises(NotFound) as refused:
                await cluster.ask(operation, herd="sales", run=RUN)
            assert refused.value.code == "no_lineage"


async def test_runs_are_found_by_the_datasets_that_they_read_and_wrote():
    async with served() as cluster:
        for place in range(3):
            await put_failed(cluster.barn, "sales", run_at(place))
        await put_failed(cluster.barn, "stock", run_at(7))
        asked: dict[str, Any] = {"herd": "sales", "uri": "csv://orders.csv"}
        first = await cluster.ask(facts.OF_DATASET, limit=2, **asked)
        after = Position(first.revision, first.after)
        rest = await cluster.ask(facts.OF_DATASET, limit=2, position=after, **asked)
        found = [(one.run, one.use, one.rows) for one in (*first.items, *rest.items)]
        assert found == [(run_at(place), "read", 10) for place in (2, 1, 0)]
        page = await cluster.ask(facts.OF_DATASET, herd="sales", uri="jsonl://dead.jsonl")
        assert {(one.use, one.node) for one in page.items} == {("written", LETTER)}
        page = await cluster.ask(facts.OF_DATASET, herd="sales", uri="csv://nothing")
        assert page.items == ()


async def test_what_one_run_is_listed_with_may_be_on_two_pages():
    """A run that reads a dataset twice, and whose facts are more than a page takes."""
    async with served() as cluster:
        for place in range(2):
            record = await put_failed(cluster.barn, "sales", run_at(place))
            key = lineage_key(record.herd, record.run)
            found = await cluster.barn.get(key, Lineage)
            assert found is not None
            await cluster.barn.put(key, changed(found.value, stages=found.value.stages * 3))
        told, position = [], None
        while position is None or position.after:
            asked: dict[str, Any] = {"herd": "sales", "uri": "csv://orders.csv"}
            page = await cluster.ask(facts.OF_DATASET, limit=2, position=position, **asked)
            assert len(page.items) <= 2
            told += [one.run for one in page.items]
            position = Position(page.revision, page.after)
        assert told == [run_at(1)] * 3 + [run_at(0)] * 3


async def test_facts_are_listed_of_the_runs_that_the_caller_may_read():
    rule = Rule((Verb.GET, Verb.LIST), (Resource.LINEAGE, Resource.QUALITY), (run_at(1),))
    role = Role(RoleName("one"), "sales", (rule,))
    binding = Binding(BindingName("one"), "sales", role.name, RoleOf.HERD, (ANN.subject,))
    async with served(roles=[role], bindings=[binding]) as cluster:
        for place in range(3):
            await put_failed(cluster.barn, "sales", run_at(place))
        page = await cluster.ask(facts.OF_DATASET, ANN, herd="sales", uri="csv://orders.csv")
        assert [one.run for one in page.items] == [run_at(1)]
        page = await cluster.ask(facts.QUALITY_LIST, ANN, herd="sales")
        assert [one.run for one in page.items] == [run_at(1)]


async def test_quality_is_what_checks_saw_and_why_rows_were_rejected():
    async with served() as cluster:
        await put_failed(cluster.barn, "sales")
        told = await cluster.ask(facts.QUALITY, herd="sales", run=RUN)
        (check,) = told.checks
        assert (check.check, check.rows_in, check.rejected) == ("gold.check", 10, 3)
        (reason,) = told.reasons
        assert (reason.field, reason.rule, reason.rows) == ("email", "type", 3)
        for contract, count in (("Order", 1), (check.contract, 1), ("Other", 0)):
            page = await cluster.ask(facts.QUALITY_LIST, herd="sales", contract=contract)
            assert len(page.items) == count
        assert (await cluster.ask(facts.QUALITY_LIST, herd="sales", pipeline="other")).items == ()


# Dead letters.


async def declare(cluster: Served) -> None:
    """Have the herd, which says how marked fields are masked."""
    await cluster.barn.put(herd_key(HerdName("sales")), HerdRecord(HerdName("sales")))


def written(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def keep(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Keep a dead letter with a run that failed, as its node does."""
    sink = dag_of("sales").node(LETTER)
    path = Path(kept_dead_letter(sink, str(folder / RUN)))  # type: ignore[arg-type] # it is a sink
    path.parent.mkdir(parents=True)
    path.write_bytes(written(rows))


async def put_kept(cluster: Served) -> None:
    """Put a failed run whose dead letter is kept with it, and with nothing else of it."""
    await declare(cluster)
    record = await put_failed(cluster.barn, "sales")
    part = slice_record(record, state=SliceState.SUCCEEDED)
    report = Prepared(LETTER, "jsonl://dead.jsonl", "file", "", "", "overwrite", 5, 9, "")
    part = changed(part, report=Done(prepared=(report,)))
    await put_run(cluster.barn, changed(record, kept=(), kept_until_ms=0), part)


async def read(cluster: Served, by: Any = None, **asked: Any) -> Any:
    return await cluster.ask(
        facts.DEAD_ROWS, *([by] if by else []), herd="sales", run=RUN, sink=LETTER, **asked
    )


async def test_rows_that_a_failed_run_rejected_are_read_part_by_part(tmp_path: Path):
    async with served(nodes={"w1": tmp_path}) as cluster:
        await put_kept(cluster)
        keep(tmp_path, ROWS)
        page = await cluster.ask(facts.DEAD_LETTERS, herd="sales", run=RUN)
        (letter,) = page.items
        assert (letter.sink, letter.rows, letter.is_published, letter.is_readable) == (LETTER, 5, False, True)  # fmt: skip
        first = await read(cluster, limit=3)
        assert [one.row for one in first.items] == [0, 1, 2]
        rest = await read(cluster, limit=3, position=Position(first.revision, first.after))
        assert [one.record["id"] for one in rest.items] == ["3", "4"]
        assert rest.after == ""
        assert first.items[0].record["dead_reasons"] == ROWS[0]["dead_reasons"]


async def test_rows_that_lie_far_within_what_a_failed_run_keeps_are_told_to_be_too_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    monkeypatch.setattr(written_rows, "FETCHED_BYTES_MAX", 8 << 20)
    async with served(nodes={"w1": tmp_path}) as cluster:
        await put_kept(cluster)
        keep(tmp_path, [{"id": str(place), "note": "n" * 1000} for place in range(12_000)])
        assert [one.row for one in (await read(cluster, limit=2)).items] == [0, 1]
        with pytest.raises(Invalid) as refused:
            await read(cluster, limit=2, position=Position(1, "11900"))
        assert refused.value.code == "rows_too_far"


async def test_marked_fields_are_shown_to_who_is_cleared_for_them_and_to_nobody_else(
    tmp_path: Path,
):
    async with served(nodes={"w1": tmp_path}, bindings=READERS) as cluster:
        await put_kept(cluster)
        keep(tmp_path, ROWS)
        seen = (await read(cluster, STEW, limit=1)).items[0].record
        assert seen == ROWS[0]
        covered = (await read(cluster, ANN, limit=1)).items[0].record
        assert (covered["id"], covered["note"]) == ("0", None), "what is not known may be anything"
        messages = [one["message"] for one in covered["dead_reasons"]]
        assert messages == ["id is 0, not a number", "email breaks format"]
        assert "e0@x" not in json.dumps(covered)


async def published(cluster: Served, path: Path, data: bytes, **more: Any) -> RunRecord:
    digest = hashlib.sha256(data).hexdigest()
    one = Prepared(LETTER, "jsonl://dead.jsonl", "file", "", str(path), "overwrite", 5, len(data), digest)  # fmt: skip
    one = changed(one, **more)
    await declare(cluster)
    record = run_record("sales", state=RunState.SUCCEEDED, prepared=(one,))
    publish = slice_record(record, PUBLISH, task=Task.PUBLISH, state=SliceState.SUCCEEDED)
    await put_run(cluster.barn, record, publish)
    return record


async def test_rows_that_were_published_are_read_only_as_the_run_has_written_them(tmp_path: Path):
    async with served(nodes={"w1": tmp_path}) as cluster:
        path, data = tmp_path / "dead.jsonl", written(ROWS)
        path.write_bytes(data)
        await published(cluster, path, data)
        assert [one.row for one in (await read(cluster)).items] == [0, 1, 2, 3, 4]
        path.write_bytes(data.replace(b"e0@x", b"e9@x"))
        with pytest.raises(NotFound) as refused:
            await read(cluster)
        assert refused.value.code == "dead_letter_gone"


async def test_a_letter_in_a_store_is_not_read_here(tmp_path: Path):
    async with served(nodes={"w1": tmp_path}) as cluster:
        await published(cluster, tmp_path / "x", b"", kind="multipart", target="s3://lake/d.jsonl")
        with pytest.raises(Refused) as refused:
            await read(cluster)
        assert refused.value.code == "dead_letter_elsewhere"


async def test_what_a_node_keeps_that_is_away_may_be_read_later(tmp_path: Path):
    async with served(nodes={"w2": tmp_path}) as cluster:
        await put_kept(cluster)
        with pytest.raises(Unavailable) as refused:
            await read(cluster)
        assert refused.value.code == "node_away"


async def test_a_run_that_lives_or_rejected_nothing_has_no_letter():
    async with served() as cluster:
        await put_run(cluster.barn, run_record("sales", paused=True))
        page = await cluster.ask(facts.DEAD_LETTERS, herd="sales", run=RUN)
        assert page.items == ()
        with pytest.raises(NotFound) as refused:
            await read(cluster)
        assert refused.value.code == "no_dead_letter"
