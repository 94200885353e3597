"""An inferred contract: no row that it was made of breaks it, in Arrow and in CSV, as a value and as the Python text that is printed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.contracts.contract import Contract, spec_of
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.inference import infer
from runink.contracts.plan import compile_plan
from runink.contracts.source import python_source
from spec_world import UNHURRIED

WORDS = st.sampled_from(
    [
        "",
        "NA",
        "-",
        "null",
        "nan",
        "inf",
        "0",
        "007",
        "+1",
        "12",
        "-3",
        "12.0",
        "1.50",
        "2.25",
        "1e3",
        "true",
        "False",
        "t",
        "2013-01-31",
        "2013-02-31",
        "2013-01-31T10:00",
        "2013-01-31 10:00:00+02:00",
        "10:00",
        "25:00",
        "a@b.c",
        "x",
        "99999999999999999999",
        "0x1F",
        " 1 ",
        "1,5",
    ]
)
ROWS = st.integers(1, 12)


@st.composite
def texts(draw: st.DrawFn) -> pa.Table:
    """Columns as CSV has them; each holds few kinds of words, so that some are of one kind."""
    rows = draw(ROWS)
    columns = {}
    for name in draw(
        st.lists(
            st.sampled_from(["id", "price", "day", "a b", "x"]), min_size=1, max_size=4, unique=True
        )
    ):
        some = draw(st.lists(WORDS, min_size=1, max_size=3))
        drawn = draw(st.lists(st.sampled_from(some), min_size=rows, max_size=rows))
        columns[name] = pa.array([one or None for one in drawn], pa.string())
    return pa.table(columns)


SCALARS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=5) | WORDS),
    (pa.large_string(), st.text(max_size=5)),
    (pa.binary(), st.binary(max_size=5)),
    (pa.date32(), st.dates()),
    (pa.timestamp("s"), st.datetimes().map(lambda one: one.replace(microsecond=0))),
    (pa.timestamp("ms", "Europe/Oslo"), st.integers(-(10**14), 10**14)),
    (pa.time64("us"), st.times()),
    (pa.decimal128(9, 2), st.decimals(-1000, 1000, places=2)),
    (pa.decimal128(38, -2), st.just(100)),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b"])),
    (pa.null(), st.none()),
    (pa.duration("s"), st.integers(0, 9)),
]


@st.composite
def arrow_columns(draw: st.DrawFn, rows: int, depth: int = 1) -> pa.Array:
    kind, values = draw(types(depth))
    return pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind)


@st.composite
def types(draw: st.DrawFn, depth: int) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    way = draw(st.integers(0, 5)) if depth else 0
    if way == 4:
        kind, values = draw(types(depth - 1))
        return pa.list_(kind), st.lists(st.none() | values, max_size=3)
    if way == 5:
        inner = {name: draw(types(depth - 1)) for name in ("p", "q")}
        return (
            pa.struct([(name, kind) for name, (kind, _) in inner.items()]),
            st.fixed_dictionaries(
                {name: st.none() | values for name, (_, values) in inner.items()}
            ),
        )
    return draw(st.sampled_from(SCALARS))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(ROWS)
    names = draw(
        st.lists(
            st.sampled_from(["id", "email", "a b", "key", "x"]), min_size=1, max_size=3, unique=True
        )
    )
    return pa.table({name: draw(arrow_columns(rows)) for name in names})


def rejections(spec: ContractSpec, table: pa.Table) -> dict[tuple[str, str], int]:
    plan = compile_plan(spec)
    counts: dict[tuple[str, str], int] = {}
    for batch in table.to_batches():
        found = plan.check(batch).rejected
        counts |= found.counts if found else {}
    return counts


def loaded(text: str) -> ContractSpec:
    names: dict[str, Any] = {"__name__": "inferred"}
    exec(compile(text, "inferred.py", "exec", dont_inherit=True), names)
    found = names["Row"]
    assert isinstance(found, type)
    assert issubclass(found, Contract)
    return spec_of(found)


@UNHURRIED
@given(texts(), st.booleans())
def test_rows_of_csv_keep_what_was_inferred_from_them(table: pa.Table, tight: bool):  # noqa: FBT001 - hypothesis gives it by place
    found = infer(table, "Row", is_text=True, tight=tight)
    nulls = ["", *found.nulls]
    read = [
        {name: None if value in nulls else value for name, value in row.items()}
        for row in table.to_pylist()
    ]
    assert not rejections(found.spec, pa.Table.from_pylist(read, table.schema))
    assert not found.left_out
    text = python_source(found.spec, comments=found.hints, head=found.left_out)
    assert loaded(text) == found.spec


@UNHURRIED
@given(tables())
def test_rows_of_arrow_keep_what_was_inferred_from_them(table: pa.Table):
    found = infer(table, "Row", is_text=False)
    assert len(found.spec.fields) + len(found.left_out) == table.num_columns
    if found.spec.fields:
        assert not rejections(found.spec, table)
        assert loaded(python_source(found.spec, comments=found.hints)) == found.spec


def inferred(*values: str | None, name: str = "x") -> FieldSpec:
    (field,) = infer(
        pa.table({name: pa.array(values, pa.string())}), "Row", is_text=True
    ).spec.fields
    return field


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("1", "-2"), Kind.INT),
        (("1.0", "2.0"), Kind.INT),
        (("007", "12"), Kind.STR),
        (("+47123",), Kind.STR),
        (("1.5", "2"), Kind.FLOAT),
        (("1e3",), Kind.FLOAT),
        (("true", "False"), Kind.BOOL),
        (("t", "f"), Kind.STR),
        (("yes", "no"), Kind.STR),
        (("2013-01-31",), Kind.DATE),
        (("2013-02-31",), Kind.STR),
        (("2013-01-31T00:00:00Z",), Kind.DATETIME),
        (("2013-01-31 10:00",), Kind.DATETIME),
        (("10:00", "10:00:30"), Kind.TIME),
        (("NA", "1"), Kind.INT),
        (("NA", "x"), Kind.STR),
        (("NA",), Kind.STR),
        (("99999999999999999999",), Kind.STR),
    ],
)
def test_what_a_column_of_text_is_taken_for(values: tuple[str, ...], kind: Kind):
    assert inferred(*values).kind is kind


def test_money_has_digits_where_every_price_has_the_same_places():
    assert inferred("1.50", "20.25", name="unit_price").scale == 2
    assert inferred("1.50", "20.2", name="unit_price").kind is Kind.FLOAT
    assert inferred("1.50", "20.25", name="weight").kind is Kind.FLOAT


def test_a_format_is_said_where_every_value_has_it():
    assert inferred("a@b.c", "d@e.f", "g@h.i").format == "email"
    assert inferred("a@b.c", "d@e.f", "none").format == ""


def test_what_cannot_be_proven_is_a_hint():
    rows = 60
    table = pa.table(
        {
            "origin": ["EWR", "JFK", "LGA"] * 20,
            "n": [str(n) for n in range(rows)],
            "first_name": ["a"] * rows,
        }
    )
    found = infer(table, "Row", is_text=True)
    assert found.hints["origin"] == ('60 rows hold 3 values: Literal["EWR", "JFK", "LGA"]',)
    assert found.hints["n"] == ("from 0 to 59", 'another value in each row: key = ("n",)?')
    assert found.hints["first_name"][0] == 'personal data by its name? Field(pii="name")'
    assert [field.choices for field in found.spec.fields] == [(), (), ()]
    tight = infer(table, "Row", is_text=True, tight=True)
    assert tight.spec.fields[0].choices == ("EWR", "JFK", "LGA")


@UNHURRIED
@given(st.lists(st.text(max_size=4), min_size=60, max_size=60))
def test_no_value_breaks_out_of_its_comment(values: list[str]):
    table = pa.table({"x": pa.array(values[:2] * 30, pa.string())})
    found = infer(table, "Row", is_text=False)
    text = python_source(found.spec, comments=found.hints)
    assert loaded(text) == found.spec
