"""The table of a contract: DuckDB makes it, takes what the contract takes, and refuses what it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb
import pytest
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.sql_table import Dialect, create_table
from runink.expressions import Literal

GOOD: dict[str, Any] = {
    "id": 7,
    'od"d': "AB",
    "mail": None,
    "price": Decimal("1.50"),
    "day": "2013-01-31",
    "when": "2013-01-31 10:00:00+00",
    "share": 0.5,
    "raw": b"\x00\xff",
    "color": "it's",
    "at": {"lat": 1.0},
    "tags": ["a"],
}
SPEC = ContractSpec(
    "My table",
    "1.0.0",
    (
        FieldSpec("id", Kind.INT, ge=1, lt=100, multiple_of=7),
        FieldSpec('od"d', Kind.STR, pattern="[A-Z]{2}|x'y", min_length=2, description="it's odd"),
        FieldSpec("mail", Kind.STR, format="email", nullable=True, unique=True, pii="email"),
        FieldSpec(
            "price", Kind.DECIMAL, digits=5, scale=2, gt="0", has_default=True, default="2.25"
        ),
        FieldSpec("day", Kind.DATE, ge="2013-01-01"),
        FieldSpec("when", Kind.DATETIME, lt="2020-01-01T00:00:00+00:00"),
        FieldSpec("share", Kind.FLOAT, ge=0.0, le=1.0),
        FieldSpec("raw", Kind.BYTES, max_length=2, has_default=True, default="\x01\xff"),
        FieldSpec("color", Kind.STR, choices=("it's", "red")),
        FieldSpec("at", Kind.RECORD, fields=(FieldSpec("lat", Kind.FLOAT),)),
        FieldSpec("tags", Kind.LIST, items=FieldSpec("item", Kind.STR)),
    ),
    ("id",),
    "It holds\nthings; they're many.",
    rules=(RuleSpec("cheap", "price < 10.0", Literal(True)),),
)


@pytest.fixture
def table():
    with duckdb.connect() as connection:
        connection.execute(create_table(SPEC, Dialect.DUCKDB))
        yield connection


def insert(connection: Any, row: dict[str, Any]) -> None:
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in row)
    marks = ", ".join("?" for _ in row)
    connection.execute(f'INSERT INTO "My table" ({names}) VALUES ({marks})', list(row.values()))


def test_a_row_that_keeps_the_contract_is_taken_with_its_defaults(table):
    insert(table, {name: value for name, value in GOOD.items() if name not in ("price", "raw")})
    assert table.sql('SELECT price, raw FROM "My table"').fetchall() == [
        (Decimal("2.25"), b"\x01\xff")
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 0),
        ("id", 8),
        ("id", None),
        ('od"d', "ab"),
        ('od"d', "ABC"),
        ("mail", "no address"),
        ("price", Decimal(0)),
        ("day", "2012-12-31"),
        ("when", "2020-01-01 00:00:00+00"),
        ("share", 1.5),
        ("raw", b"123"),
        ("color", "blue"),
        ("at", None),
    ],
)
def test_a_row_that_breaks_it_is_refused(table, name: str, value: Any):
    with pytest.raises(duckdb.ConstraintException):
        insert(table, {**GOOD, name: value})


def test_keys_and_unique_fields_are_held_once(table):
    insert(table, {**GOOD, "mail": "a@b.c"})
    with pytest.raises(duckdb.ConstraintException):
        insert(table, {**GOOD, "mail": "d@e.f"})
    with pytest.raises(duckdb.ConstraintException):
        insert(table, {**GOOD, "id": 14, "mail": "a@b.c"})


def test_comments_and_what_no_table_keeps_are_told(table):
    ((comment,),) = table.sql(
        "SELECT comment FROM duckdb_tables() WHERE table_name = 'My table'"
    ).fetchall()
    assert comment == SPEC.description
    text = create_table(SPEC, Dialect.DUCKDB)
    assert "-- not kept by the table: cheap: price < 10.0" in text
    assert "it''s odd" in text


def test_postgresql_gets_its_own_words():
    text = create_table(SPEC, Dialect.POSTGRES)
    assert '"at" jsonb NOT NULL' in text
    assert '"tags" text[] NOT NULL' in text
    assert """CHECK ("od""d" ~ '^(?:[A-Z]{2}|x''y)$')""" in text
    assert "DEFAULT '\\x01ff'::bytea" in text
