"""Contracts: the flights through the example's contract, against Pydantic on the same rows.

Ours takes batches of 65,536 rows and gives typed good rows and rejected rows with all their reasons; the reference is `TypeAdapter.validate_python`
per record with the same rules, all errors kept.  Text input has 2 % of its rows corrupted, each in one field.  They take turns in one run, the best of
each counts, and both must reject the same number of rows.  Rows per second of processor time: what one core does, whatever else the machine is at.  `--json` prints the list of figures that `make bench` gathers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pydantic
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.loading import load_contract
from runink.contracts.plan import Plan, column_types, compile_plan

from figures import Figure, main

PROJECT = Path(__file__).parents[1] / "examples/flights"
FLIGHTS = PROJECT / "data/flights.csv"
BATCH_ROWS = 65_536
CORRUPTED = 0.02
TURNS = 3
SEED = 2013
TEXT_ROWS_MUST, TYPED_ROWS_MUST, RATIO_MUST = 1.5e6, 5e6, 10
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


def ours(plan: Plan, batches: Batches) -> int:
    rejected = 0
    for batch in batches:
        checked = plan.check(batch)
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


def measure(_: argparse.Namespace) -> list[Figure]:
    pa.set_cpu_count(1)
    spec = load_contract(PROJECT, "contracts/flights.py:Flight")
    names = [field.name for field in spec.fields]
    text = messy(flights(dict.fromkeys(names, pa.string())), spec)
    found = figures("text", text, spec, TEXT_ROWS_MUST)
    return found + figures("typed", flights(column_types(spec)), spec, TYPED_ROWS_MUST)


if __name__ == "__main__":
    main(measure, str(__doc__))
