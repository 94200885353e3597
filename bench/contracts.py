"""Contracts: the flights through the example's contract, against Pydantic and against hand-written Polars expressions on the same rows.

Ours takes batches of 65,536 rows and gives typed good rows and rejected rows with all their reasons; the reference is `TypeAdapter.validate_python`
per record with the same rules, all errors kept.  Text input has 2 % of its rows corrupted, each in one field.  They take turns in one run, the best of
each counts, and all must reject the same number of rows.  Polars (`contract_polars.py`) makes
the good rows and the masks of the bad ones, or lists of codes for them, no messages; it is taken a second time with rules of each newer sort on: a step, a form, and a rule over two fields.  What a unique field
costs stands beside it.  Rows per second of processor time: what one core does, whatever else the machine is at.  `--json` prints the list of figures that `make bench` gathers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pydantic
from msgspec.structs import replace
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.loading import load_contract
from runink.contracts.plan import Plan, column_types, compile_plan
from runink.contracts.scopes import rule

from contract_polars import Handwritten, frames
from figures import Figure, main

PROJECT = Path(__file__).parents[1] / "examples/flights"
FLIGHTS = PROJECT / "data/flights.csv"
BATCH_ROWS = 65_536
CORRUPTED = 0.02
TURNS = 3
POLARS_TURNS = 5
SEED = 2013
TEXT_ROWS_MUST, TYPED_ROWS_MUST, RATIO_MUST = 1.5e6, 5e6, 10
POLARS_RATIO_MUST = 0.5  # within twice the time of expressions that nobody would want to write
ACROSS = "air_time < distance * 5"
GARBAGE = {
    Kind.INT: ("abc", "12.5", "-99999", "99999999", "1e3", "#N/A"),
    Kind.STR: ("?", "much too long", "x\ny"),
    Kind.DATETIME: ("not a date", "2013-02-30T10:00:00Z", "2013-01-01T25:00:00Z"),
}

Batches = list[pa.RecordBatch]


def flights(types: dict[str, pa.DataType]) -> pa.Table:
    convert = pa_csv.ConvertOptions(
        null_values=["NA", ""], strings_can_be_null=True, column_types=types
    )
    return pa_csv.read_csv(FLIGHTS, convert_options=convert).combine_chunks()


def messy(table: pa.Table, spec: ContractSpec) -> pa.Table:
    """Put garbage into one field of 2 % of the rows."""
    random = Random(SEED)
    columns = {name: table.column(name).to_pylist() for name in table.schema.names}
    for row in random.sample(range(table.num_rows), int(table.num_rows * CORRUPTED)):
        field = random.choice(spec.fields)
        columns[field.name][row] = random.choice(GARBAGE[field.kind])
    return pa.table(columns, schema=table.schema)


def reference(spec: ContractSpec) -> pydantic.TypeAdapter[Any]:
    """The same contract as a Pydantic model."""
    fields: dict[str, Any] = {}
    for field in spec.fields:
        kind = _annotation(field)
        fields[field.name] = (kind | None, None) if field.nullable else (kind, ...)
    return pydantic.TypeAdapter(pydantic.create_model(spec.name, **fields))


def _annotation(field: FieldSpec) -> Any:
    from datetime import datetime

    if field.choices:
        return Literal[field.choices]
    kinds = {Kind.INT: int, Kind.STR: str, Kind.DATETIME: datetime}
    names = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
    rules = {name: getattr(field, name) for name in names if getattr(field, name) is not None}
    if "pattern" in rules:
        rules["pattern"] = rf"\A(?:{rules['pattern']})\z"
    return Annotated[kinds[field.kind], pydantic.Field(**rules)] if rules else kinds[field.kind]


def with_more(spec: ContractSpec) -> ContractSpec:
    """The contract with a step, a form and a rule over two fields, which all flights keep."""
    more = {"year": {"multiple_of": 3}, "tailnum": {"format": "hostname"}}
    fields = tuple(replace(field, **more.get(field.name, {})) for field in spec.fields)
    found = rule(ACROSS, fields, whose=spec.name)
    assert found.expression is not None, found.mistakes
    return replace(spec, fields=fields, rules=(RuleSpec("fast", ACROSS, found.expression),))


def with_unique(spec: ContractSpec, table: pa.Table) -> tuple[ContractSpec, pa.Table]:
    """The contract with a field that numbers the rows, as text of 12 digits, and the flights with it."""
    field = FieldSpec("id", Kind.STR, unique=True)
    ids = pa.array([f"{number:012}" for number in range(table.num_rows)])
    return replace(spec, fields=(*spec.fields, field)), table.append_column("id", ids)


def ours(plan: Plan, batches: Batches) -> int:
    rejected = 0
    seen = plan.seen()
    for batch in batches:
        checked = plan.check(batch, seen)
        if checked.rejected is not None:
            rejected += len(checked.rejected.rows)
            assert len(checked.rejected.reasons) == len(checked.rejected.rows)
    return rejected


def theirs(adapter: pydantic.TypeAdapter[Any], rows: list[dict[str, Any]]) -> int:
    validate = adapter.validate_python
    good, dead = [], []
    for row in rows:
        try:
            good.append(validate(row))
        except pydantic.ValidationError as error:
            reasons = error.errors(include_url=False, include_context=False, include_input=False)
            dead.append((row, reasons))
    return len(dead)


def timed(work: Callable[[], int]) -> tuple[float, int]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def figures(kind: str, table: pa.Table, spec: ContractSpec, must: float) -> list[Figure]:
    plan, adapter = compile_plan(spec), reference(spec)
    batches, rows = table.to_batches(max_chunksize=BATCH_ROWS), table.to_pylist()
    best_ours = best_theirs = 0.0
    for _ in range(TURNS):
        seconds, rejected = timed(lambda: ours(plan, batches))
        best_ours = max(best_ours, len(rows) / seconds)
        seconds, same = timed(lambda: theirs(adapter, rows))
        best_theirs = max(best_theirs, len(rows) / seconds)
        assert rejected == same, f"we reject {rejected} rows, Pydantic {same}"
    ratio = best_ours / best_theirs
    shown = (round(best_ours), round(best_theirs), round(ratio, 1))
    name = f"contract on {kind} input, rows/s on one core ({rejected:,} rejected by both)"
    found = [Figure(name, *shown, f">= {must:.1e}", best_ours >= must)]
    if kind == "text":
        beside = "the same against Pydantic"
        found.append(Figure(beside, *shown, f">= {RATIO_MUST} x", ratio >= RATIO_MUST))
    return found


def beside_polars(kind: str, table: pa.Table, spec: ContractSpec, more: Any) -> list[Figure]:
    """The same rules by hand: with the masks of the bad rows, and with lists of codes."""
    plan = compile_plan(spec)
    batches = table.to_batches(max_chunksize=BATCH_ROWS)
    others = frames(batches)
    by_hand = Handwritten(spec, others[0].schema, more)
    best = {"ours": 0.0, "masks": 0.0, "lists": 0.0}
    for _ in range(POLARS_TURNS):
        seconds, rejected = timed(lambda: ours(plan, batches))
        best["ours"] = max(best["ours"], table.num_rows / seconds)
        for way in ("masks", "lists"):
            seconds, same = timed(lambda way=way: sum(by_hand.check(frame, lists=way == "lists")[1].height for frame in others))  # fmt: skip
            best[way] = max(best[way], table.num_rows / seconds)
            assert rejected == same, f"we reject {rejected} rows, Polars {same}"
    found = []
    for way in ("masks", "lists"):
        ratio = best["ours"] / best[way]
        name = f"contract on {kind} input against Polars by hand ({way}), rows/s on one core"
        shown = (round(best["ours"]), round(best[way]), round(ratio, 2))
        found.append(Figure(name, *shown, f">= {POLARS_RATIO_MUST} x", ratio >= POLARS_RATIO_MUST))
    return found


def beside_itself(name: str, table: pa.Table, spec: ContractSpec, wider: tuple[ContractSpec, pa.Table]) -> Figure:  # fmt: skip
    """What more a contract costs than a smaller one."""
    plans = [compile_plan(spec), compile_plan(wider[0])]
    inputs = [one.to_batches(max_chunksize=BATCH_ROWS) for one in (table, wider[1])]
    best = [0.0, 0.0]
    for _ in range(POLARS_TURNS):
        for at in (0, 1):
            seconds, _ = timed(lambda at=at: ours(plans[at], inputs[at]))
            best[at] = max(best[at], table.num_rows / seconds)
    ratio = best[1] / best[0]
    return Figure(name, round(best[1]), round(best[0]), round(ratio, 2), "none", met=True)


def measure(_: argparse.Namespace) -> list[Figure]:
    pa.set_cpu_count(1)
    spec = load_contract(PROJECT, "contracts/flights.py:Flight")
    names = [field.name for field in spec.fields]
    text = messy(flights(dict.fromkeys(names, pa.string())), spec)
    typed = flights(column_types(spec))
    found = figures("text", text, spec, TEXT_ROWS_MUST)
    found += figures("typed", typed, spec, TYPED_ROWS_MUST)
    more = with_more(spec)
    for kind, table, suffix in (("text", text, ":"), ("typed", typed, "")):
        found += beside_polars(kind, table, spec, {})
        across = pl.col(f"air_time{suffix}") >= pl.col(f"distance{suffix}") * 5
        by_hand = {"fast": across.fill_null(value=False)}
        wider = f"{kind} (with a step, a form and a rule over two fields)"
        found += beside_polars(wider, table, more, by_hand)
    name = "typed input with a unique field of text, rows/s on one core, beside the same without it"
    found.append(beside_itself(name, typed, spec, with_unique(spec, typed)))
    return found


if __name__ == "__main__":
    main(measure, str(__doc__))
