"""What is not for somebody reaches them nowhere: planted values are looked for in all that sinks write, and in all that readers are answered.

A second rule, written down here in a few lines and knowing nothing of the first, says which values somebody sees. A value is in a view exactly if it says so.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.clearances import ClearancePolicy, SinkClearance
from runink.connectors.sinks import open_sink
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.hiding import hidden
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan
from runink.dag import Check, Dag, Sink
from runink.dsl.readings import readings_of
from runink.identity.roles import Clearances, Effect, Role, Rule, clearances_of
from runink.jobs import Ticket
from runink.names import RoleName, RunId, SliceId
from runink.pipes.batch import Batch
from runink.pipes.dead_letter import dead_batch
from runink.testing.projects import MemoryProject, compile_text

KEY = b"k" * 32
TICKET = Ticket(RunId("0" * 26), SliceId("s"), 1)
ROWS = 2
KINDS_OF_DATA = ("email", "pay")
ROLES = ("finance", "support")
MARKS = ("pii:email", "pii:pay", "pii:*", "access:finance", "access:support", "access:*", "*")
TEXT_MASKS = ("redact", "hash", "tokenise", "truncate(2)", "")
NUMBER_MASKS = ("redact", "hash", "tokenise", "generalise(100000)", "")


class World(NamedTuple):
    """A contract, whom it is written for, and what the place may hold."""

    spec: ContractSpec
    role: Role
    policy: ClearancePolicy

    @property
    def shown(self) -> Clearances:
        return clearances_of(self.role)


@st.composite
def leaves(draw: st.DrawFn, name: str) -> FieldSpec:
    kind = draw(st.sampled_from([Kind.STR, Kind.INT]))
    masks = TEXT_MASKS if kind is Kind.STR else NUMBER_MASKS
    return FieldSpec(name, kind, mask=draw(st.sampled_from(masks)), **draw(said()))


def said() -> st.SearchStrategy[dict[str, Any]]:
    access = st.lists(st.sampled_from(ROLES), max_size=2, unique=True).map(tuple)
    return st.fixed_dictionaries({"pii": st.sampled_from(("", *KINDS_OF_DATA)), "access": access})


@st.composite
def fields(draw: st.DrawFn, name: str, depth: int = 2) -> FieldSpec:
    shape = draw(st.sampled_from(["leaf", "leaf", "record", "list"] if depth else ["leaf"]))
    if shape == "leaf":
        return draw(leaves(name))
    beside = {"mask": draw(st.sampled_from(("redact", ""))), **draw(said())}
    if shape == "list":
        return FieldSpec(name, Kind.LIST, items=draw(fields("", depth - 1)), **beside)
    parts = tuple(draw(fields(f"p{at}", depth - 1)) for at in range(draw(st.integers(1, 2))))
    return FieldSpec(name, Kind.RECORD, fields=parts, **beside)


@st.composite
def worlds(draw: st.DrawFn, *, is_flat: bool = False) -> World:
    depth = 0 if is_flat else 2
    own = tuple(draw(fields(f"f{at}", depth)) for at in range(draw(st.integers(1, 3))))
    spec = ContractSpec("C", "1.0.0", (FieldSpec("id", Kind.INT), *own))
    marks = st.lists(st.sampled_from(MARKS), max_size=3).map(tuple)
    rules = (Rule(fields=draw(marks)), Rule(fields=draw(marks), effect=Effect.DENY))
    kinds = tuple(draw(st.lists(st.sampled_from((*KINDS_OF_DATA, "*")), max_size=2)))
    default = draw(st.sampled_from(("redact", "hash")))
    policy = ClearancePolicy(default, {}, (SinkClearance("*", kinds),) if kinds else ())
    return World(spec, Role(RoleName("reader"), "default", rules), policy)


# Values that are found again wherever they are, each by its way.


def planted(field: FieldSpec, way: str) -> Any:
    match field.kind:
        case Kind.RECORD:
            return {one.name: planted(one, f"{way}.{one.name}") for one in field.fields}
        case Kind.LIST:
            assert field.items is not None
            return [planted(field.items, f"{way}[]")]
        case Kind.INT:
            return 7_000_000_000_007 + hash_of(way) * 100_000
        case _:
            return f"<<{way}>>"


def hash_of(way: str) -> int:
    return int.from_bytes(way.encode()) % 9_999_991


def rows_of(spec: ContractSpec) -> list[dict[str, Any]]:
    return [
        {
            one.name: at if one.name == "id" else planted(one, f"{at}{one.name}")
            for one in spec.fields
        }
        for at in range(ROWS)
    ]


def ways(
    field: FieldSpec, value: Any, sees: Callable[[FieldSpec], bool], *, is_around: bool = True
) -> list[tuple[str, bool]]:
    """Return each planted value as text, and whether it is seen: itself and all that is around it must be."""
    is_seen = is_around and sees(field)
    match field.kind:
        case Kind.RECORD:
            parts = [(one, value[one.name]) for one in field.fields]
        case Kind.LIST:
            assert field.items is not None
            parts = [(field.items, one) for one in value]
        case _:
            return [(str(value), is_seen)]
    return [found for one, of in parts for found in ways(one, of, sees, is_around=is_seen)]


def oracle(world: World, *, place: bool = True, whole: bool = False) -> dict[str, bool]:
    """Return which planted values somebody sees; with `place` as the place may hold them. `whole`: of a field nothing is seen that is not seen in each of its parts."""
    cleared = world.policy.cleared("") if place else frozenset({"*"})

    def shows(mark: str) -> bool:
        wide = {mark, mark.split(":", maxsplit=1)[0] + ":*", "*"}
        allowed, denied = (set(rule.fields) & wide for rule in world.role.rules)
        return bool(allowed) and not denied

    def sees(field: FieldSpec) -> bool:
        if field.pii and not (cleared & {field.pii, "*"} and shows(f"pii:{field.pii}")):
            return False
        return not field.access or any(shows(f"access:{one}") for one in field.access)

    found: dict[str, bool] = {}
    for row in rows_of(world.spec):
        for field in world.spec.fields[1:]:
            here = ways(field, row[field.name], sees)
            is_seen = all(seen for _, seen in here)
            found |= {text: is_seen if whole else seen for text, seen in here}
    return found


def compiled(world: World, *ends: str, policy: ClearancePolicy | None = None) -> Dag:
    project = MemoryProject(
        {},
        {"c.py:C": world.spec},
        clearances=world.policy if policy is None else policy,
        roles=(world.role,),
    )
    lines = ("Feature: F", "Scenario: S", '@source("jsonl://a.jsonl")', '@contract("c.py:C")')
    return compile_text("\n".join((*lines, *ends)), project=project).dag


def sink_of(dag: Dag) -> Sink:
    return next(one for one in dag.nodes if isinstance(one, Sink) and not one.dead_letter)


def batch_of(spec: ContractSpec) -> pa.RecordBatch:
    schema = pa.schema([(one.name, physical_type(one)) for one in spec.fields])
    return pa.RecordBatch.from_pylist(rows_of(spec), schema=schema)


def view(node: Sink, batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch if node.clearance is None else hidden(batch, node.clearance.masked, KEY)


def written(node: Sink, batch: pa.RecordBatch) -> bytes:
    """Return the bytes that a sink's connector writes of its view; of a Parquet file also what is read of it, as its pages are compressed."""
    with tempfile.TemporaryDirectory() as folder:
        writer = open_sink(node, root=Path(folder), ticket=TICKET, stdout_fd=None)
        writer.write(Batch(view(node, batch), "a", 0))
        prepared = writer.prepare()
        found = Path(prepared.aside).read_bytes()
        if node.path.endswith(".parquet"):
            found += repr(pq.read_table(prepared.aside).to_pylist()).encode()
    return found


def check(text: str, expected: dict[str, bool]) -> None:
    for value, is_seen in expected.items():
        assert (value in text) is is_seen, value


ALL_CLEAR = ClearancePolicy("redact", {}, (SinkClearance("*", ("*",)),))
many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(worlds(), st.sampled_from(["jsonl", "parquet"]))
def test_a_sink_holds_a_value_exactly_if_its_role_sees_it_and_the_place_may_hold_it(
    world: World, kind: str
) -> None:
    dag = compiled(world, f'@sink("{kind}://x.{kind}" with "role=reader")')
    text = written(sink_of(dag), batch_of(world.spec)).decode(errors="replace")
    check(text, oracle(world))


@many
@given(worlds(is_flat=True))
def test_so_does_a_csv_file(world: World) -> None:
    dag = compiled(world, '@sink("csv://x.csv" with "role=reader")')
    check(written(sink_of(dag), batch_of(world.spec)).decode(), oracle(world))


@many
@given(worlds())
def test_a_reader_is_answered_a_value_exactly_if_they_see_it(world: World) -> None:
    dag = compiled(world, '@sink("jsonl://x.jsonl")', policy=ALL_CLEAR)
    reading = readings_of(dag, world.policy, world.shown)[sink_of(dag).id]
    answer = json.dumps([reading.row(row) for row in rows_of(world.spec)])
    check(answer, oracle(world, place=False))


@many
@given(worlds())
def test_a_reader_sees_in_a_table_what_a_sink_for_their_role_holds_of_it(world: World) -> None:
    dag = compiled(world, '@sink("jsonl://x.jsonl" with "role=reader")', policy=ALL_CLEAR)
    plain = compiled(world, '@sink("jsonl://x.jsonl")', policy=ALL_CLEAR)
    reading = readings_of(plain, ALL_CLEAR, world.shown)[sink_of(plain).id]
    held = view(sink_of(dag), batch_of(world.spec)).to_pylist()
    for given_, row, came in zip(
        map(reading.row, rows_of(world.spec)), held, rows_of(world.spec), strict=True
    ):
        for spec in world.spec.fields:
            same(given_[spec.name], row[spec.name], came[spec.name])


def same(read: Any, held: Any, came: Any) -> None:
    """A part stands in both or in none; where it does not, a reader gets what the sink holds, or nothing of it."""
    if isinstance(came, dict) and isinstance(held, dict) and isinstance(read, dict):
        for name, one in came.items():
            same(read[name], held[name], one)
    elif isinstance(came, list) and isinstance(held, list) and isinstance(read, list):
        for parts in zip(read, held, came, strict=True):
            same(*parts)
    else:
        assert (read == came) == (held == came)
        assert read in (came, held, "***", None)


@many
@given(worlds(), st.sampled_from(MARKS))
def test_what_was_masked_for_a_role_is_seen_masked_by_whoever_reads_it(
    world: World, mark: str
) -> None:
    dag = compiled(world, '@sink("jsonl://x.jsonl" with "role=reader")')
    held = view(sink_of(dag), batch_of(world.spec)).to_pylist()
    everything = readings_of(dag, world.policy, Clearances(frozenset({"*"})))[sink_of(dag).id]
    assert [everything.row(row) for row in held] == held
    some = readings_of(dag, world.policy, Clearances(frozenset({mark})))[sink_of(dag).id]
    text = json.dumps([some.row(row) for row in held], default=str)
    role = changed(world.role, rules=(Rule(fields=(mark,)), Rule(effect=Effect.DENY)))
    expected, theirs = oracle(world), oracle(world._replace(role=role), place=False)
    check(text, {value: expected[value] and theirs[value] for value in expected})


@many
@given(worlds(), st.sampled_from(MARKS))
def test_who_is_cleared_for_more_sees_no_less(world: World, mark: str) -> None:
    allowed, denied = world.role.rules
    more = changed(world.role, rules=(changed(allowed, fields=(*allowed.fields, mark)), denied))
    wider = (*world.policy.sinks, SinkClearance("*", ("email",)))
    for other in (
        world._replace(role=more),
        world._replace(policy=changed(world.policy, sinks=wider)),
    ):
        before, after = (
            written(sink_of(compiled(one, '@sink("jsonl://x.jsonl" with "role=reader")')), batch_of(one.spec)).decode()
            for one in (world, other)
        )  # fmt: skip
        for value in oracle(world):
            assert value in after or value not in before


@many
@given(worlds(), st.sampled_from(MARKS))
def test_one_more_denial_shows_no_more(world: World, mark: str) -> None:
    allowed, denied = world.role.rules
    less = changed(world.role, rules=(allowed, changed(denied, fields=(*denied.fields, mark))))
    dags = (
        compiled(one, '@sink("jsonl://x.jsonl" with "role=reader")')
        for one in (world, world._replace(role=less))
    )
    before, after = (written(sink_of(dag), batch_of(world.spec)).decode() for dag in dags)
    assert not [value for value in oracle(world) if value in after and value not in before]


@many
@given(world=worlds(), is_cleared=st.booleans())
def test_a_dead_letter_shows_a_reader_no_value_that_they_do_not_see_in_its_reasons_either(
    *, world: World, is_cleared: bool
) -> None:
    """Every text and every number breaks its field here, so that there is a reason for each."""
    spec = changed(world.spec, fields=tuple(breaking(one) for one in world.spec.fields))
    world = world._replace(spec=spec)
    ends = ('@sink("jsonl://x.jsonl")', '@deadletter("jsonl://dead.jsonl")')
    policy = ALL_CLEAR if is_cleared else world.policy
    dag = compiled(world, *ends, policy=policy)
    (check_node,) = (one for one in dag.nodes if isinstance(one, Check))
    (node,) = (one for one in dag.nodes if isinstance(one, Sink) and one.dead_letter)
    batch = batch_of(spec)
    rejected = compile_plan(spec).check(batch).rejected
    assert rejected is not None
    letter = dead_batch(rejected, batch=Batch(batch, "a", 0), check=check_node, ticket=TICKET)
    rows = view(node, letter.data).to_pylist()
    reading = readings_of(dag, world.policy, world.shown)[node.id]
    text = json.dumps([reading.row(row) for row in rows])
    sees = oracle(world, place=False)
    assert not [value for value, is_seen in sees.items() if value in text and not is_seen]
    if is_cleared:
        whole = oracle(world, place=False, whole=True)
        assert not [value for value, is_seen in whole.items() if is_seen and value not in text]


def breaking(field: FieldSpec) -> FieldSpec:
    match field.kind:
        case Kind.RECORD:
            return changed(field, fields=tuple(breaking(one) for one in field.fields))
        case Kind.LIST:
            assert field.items is not None
            return changed(field, items=breaking(field.items))
        case Kind.STR:
            return changed(field, pattern="none")
        case _:
            return changed(field, le=-1)
