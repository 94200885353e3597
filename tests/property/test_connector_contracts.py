"""A contract finds the same good and bad rows whether CSV was parsed straight to its types or taken as text."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
from hypothesis import given, settings
from runink.connectors.csv_source import CsvSource
from runink.connectors.inputs import Input
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.plan import compile_plan
from runink.dag import Format, Source

FIELDS = (
    FieldSpec("narrow", Kind.INT, nullable=True, ge=-5, le=300),
    FieldSpec("wide", Kind.INT, nullable=True),
    FieldSpec("real", Kind.FLOAT, nullable=True),
    FieldSpec("truth", Kind.BOOL, nullable=True),
    FieldSpec("day", Kind.DATE, nullable=True),
    FieldSpec("instant", Kind.DATETIME, nullable=True),
    FieldSpec("time", Kind.TIME, nullable=True),
    FieldSpec("price", Kind.DECIMAL, nullable=True, digits=5, scale=2),
    FieldSpec("word", Kind.STR, nullable=True, max_length=3),
)
USUAL = ["", "1", "-5", "7", "300"]
ODD = [
    *("301", "32768", "9223372036854775807", "9223372036854775808", "007", "+1", " 1", "1 "),
    *("0x1F", "0XfF", "1.0", "1.5", "1e3", "1e400", ".5", "5.", "nan", "NaN", "inf", "-inf"),
    *("Infinity", "true", "false", "TRUE", "True", "0", "yes", "abc", "é", "-", "--1", "1_000"),
    *("2013-01-01", "2013-02-30", "2013-1-1", "20130101", "2013-01-01T05:00:00Z"),
    *("2013-01-01 05:00:00", "2013-01-01T05:00", "2013-01-01T05:00:00+02:00", "0000-01-01"),
    *("2013-01-01T05:00:00.123456Z", "2013-01-01T05:00:00.1234567Z", "2013-01-01Z"),
    *(
        "05:15",
        "05:15:00",
        "24:00:00",
        "05:15:00.123456789",
        "123.45",
        "123.456",
        "-0.01",
        "1234.5",
    ),
]
values = st.one_of(st.sampled_from(USUAL), st.sampled_from(ODD))


@given(
    rows=st.lists(st.tuples(*[values] * len(FIELDS)), min_size=1, max_size=8),
    quoted=st.booleans(),
    policy=st.sampled_from(Coercion),
)
@settings(max_examples=300)
def test_typed_and_text_give_the_same_rows(
    rows: list[tuple[str, ...]], policy: Coercion, *, quoted: bool
) -> None:
    contract = ContractSpec("Mixed", "1.0.0", FIELDS, coercion=policy)
    mark = '"' if quoted else ""
    lines = [",".join(f"{mark}{value}{mark}" for value in row) for row in rows]
    text = ",".join(field.name for field in FIELDS) + "\n" + "\n".join(lines) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(text)
        typed = _checked(path, contract, 64, is_typed=True)
        assert typed == _checked(path, contract, 1 << 20, is_typed=False)


def _checked(
    path: Path, spec: ContractSpec, block_bytes: int, *, is_typed: bool
) -> tuple[Any, Any]:
    """Return the good rows and the bad ones with their reasons; if not `is_typed`, the reader knows no contract and gives text."""
    contract = spec if is_typed else None
    node = Source("in", "s", "csv://a.csv", Format.CSV, "a.csv", contract=contract)
    reader = CsvSource(node, block_bytes=block_bytes)
    if contract is None:
        reader._guessed = dict.fromkeys([field.name for field in FIELDS], pa.string())
    plan = compile_plan(spec)
    good: list[Any] = []
    bad: list[Any] = []
    row = 0
    for table in reader.read(Input("a.csv", str(path))):
        for batch in table.to_batches():
            checked = plan.check(batch)
            good += map(repr, checked.good.to_pylist())
            if checked.rejected is not None:
                places = [row + place for place in checked.rejected.rows.to_pylist()]
                reasons = [
                    [(reason["field"], reason["rule"]) for reason in one]
                    for one in checked.rejected.reasons.to_pylist()
                ]
                bad += zip(places, reasons, strict=True)
            row += batch.num_rows
    return good, bad
