"""A contract as the table that would hold its rows: `CREATE TABLE` for DuckDB or PostgreSQL, with as many of its rules as the database can keep.

    field             DuckDB             PostgreSQL
    int               SMALLINT, INTEGER or BIGINT, as its bounds allow
    float             DOUBLE             double precision
    decimal           DECIMAL(d, s)      numeric(d, s)
    bool              BOOLEAN            boolean
    str, bytes        VARCHAR, BLOB      text, bytea
    date, time        DATE, TIME         date, time
    datetime          TIMESTAMPTZ        timestamptz
    record, list      STRUCT(…), T[]     jsonb, T[] (of records: jsonb)

Bounds, steps, lengths, choices, patterns and formats become CHECKs, a key the PRIMARY KEY, `unique` UNIQUE, descriptions COMMENTs.  Rules within records and of
items, and rules over a row, are listed as comments of the text: no engine would keep them as we do.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from runink.contracts.fields import ContractSpec, FieldSpec, Kind, Scalar
from runink.contracts.formats import FORMATS
from runink.contracts.values import bits_of, digits_of
from runink.expressions.sql import quoted_name


class Dialect(Enum):
    DUCKDB = "duckdb"
    POSTGRES = "postgres"


_TYPES: Final = {
    Kind.FLOAT: ("DOUBLE", "double precision"),
    Kind.BOOL: ("BOOLEAN", "boolean"),
    Kind.STR: ("VARCHAR", "text"),
    Kind.BYTES: ("BLOB", "bytea"),
    Kind.DATE: ("DATE", "date"),
    Kind.TIME: ("TIME", "time"),
    Kind.DATETIME: ("TIMESTAMPTZ", "timestamptz"),
}
_INTEGERS: Final = ((15, "SMALLINT"), (31, "INTEGER"), (63, "BIGINT"))
_SIGNS: Final = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
_QUOTED: Final = {Kind.DATE: "DATE", Kind.TIME: "TIME", Kind.DATETIME: "TIMESTAMPTZ"}


def create_table(spec: ContractSpec, dialect: Dialect) -> str:
    """Return the statements that make the table, and its comments."""
    parts = [_Column(field, dialect).text() for field in spec.fields]
    if spec.key:
        parts.append(f"PRIMARY KEY ({', '.join(quoted_name(name) for name in spec.key)})")
    table = quoted_name(spec.name)
    said = [f"{spec.name} {spec.version}, {spec.hash[:12]}"]
    said += [f"not kept by the table: {one}" for one in _unkept(spec)]
    lines = [f"-- {' '.join(one.split())}" for one in said]  # a line end would end the comment
    lines += [f"CREATE TABLE {table} (", ",\n".join(f"  {part}" for part in parts), ");"]
    if spec.description:
        lines.append(f"COMMENT ON TABLE {table} IS {literal(spec.description)};")
    lines += [
        f"COMMENT ON COLUMN {table}.{quoted_name(field.name)} IS {literal(_comment(field))};"
        for field in spec.fields
        if _comment(field)
    ]
    return "\n".join(lines) + "\n"


def _comment(field: FieldSpec) -> str:
    parts = (
        field.description,
        f"in {field.unit}" if field.unit else "",
        f"pii: {field.pii}" if field.pii else "",
    )
    return "; ".join(part for part in parts if part)


def _unkept(spec: ContractSpec) -> Iterator[str]:
    for rule in spec.rules:
        yield f"{rule.name}: {rule.text}"
    for field in spec.fields:
        if field.kind in (Kind.RECORD, Kind.LIST):
            yield f"the rules within {field.name}"
        if field.kind is Kind.FLOAT and not field.allow_inf_nan:
            yield f"{field.name} is a finite number"


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class _Column:
    def __init__(self, field: FieldSpec, dialect: Dialect) -> None:
        self._field = field
        self._dialect = dialect
        self._name = quoted_name(field.name)

    def text(self) -> str:
        field = self._field
        parts = [self._name, column_type(field, self._dialect)]
        if not field.nullable:
            parts.append("NOT NULL")
        if field.default is not None:
            parts.append(f"DEFAULT {self._value(field.default)}")
        if field.unique:
            parts.append("UNIQUE")
        return " ".join([*parts, *(f"CHECK ({one})" for one in self._checks())])

    def _value(self, value: Scalar) -> str:
        kind = self._field.kind
        if kind in _QUOTED:
            return f"{_QUOTED[kind]} {literal(str(value))}"
        if kind is Kind.BYTES:
            digits = str(value).encode("latin-1").hex()
            if self._dialect is Dialect.POSTGRES:
                return f"'\\x{digits}'::bytea"
            return f"from_hex('{digits}')"
        if isinstance(value, str):
            return value if kind is Kind.DECIMAL else literal(value)
        return str(value).upper() if isinstance(value, bool) else repr(value)

    def _checks(self) -> Iterator[str]:
        field, name = self._field, self._name
        if field.kind in (Kind.RECORD, Kind.LIST):
            return
        for attribute, sign in _SIGNS:
            bound: Any = getattr(field, attribute)
            if (
                bound is not None and bound - bound == 0
                if isinstance(bound, float)
                else bound is not None
            ):
                yield f"{name} {sign} {self._value(bound)}"
        if field.multiple_of is not None and field.kind is not Kind.FLOAT:
            yield f"{name} % {self._value(field.multiple_of)} = 0"
        length = f"length({name})" if field.kind is Kind.STR else f"octet_length({name})"
        for attribute, sign in (("min_length", ">="), ("max_length", "<=")):
            if getattr(field, attribute) is not None:
                yield f"{length} {sign} {getattr(field, attribute)}"
        for pattern in (field.pattern, FORMATS.get(field.format)):
            if pattern is not None:
                yield self._matches(pattern)
        if field.choices:
            yield f"{name} IN ({', '.join(self._value(choice) for choice in field.choices)})"

    def _matches(self, pattern: str) -> str:
        if self._dialect is Dialect.DUCKDB:
            return f"regexp_full_match({self._name}, {literal(pattern)})"
        return f"{self._name} ~ {literal(f'^(?:{pattern})$')}"


def column_type(field: FieldSpec, dialect: Dialect) -> str:
    """Return the type of a field's column."""
    is_duckdb = dialect is Dialect.DUCKDB
    match field.kind:
        case Kind.INT:
            return next(word for bits, word in _INTEGERS if bits >= bits_of(field))
        case Kind.DECIMAL:
            word = "DECIMAL" if is_duckdb else "numeric"
            digits, scale = digits_of(field)
            return f"{word}({digits}, {scale})"
        case Kind.RECORD:
            inner = ", ".join(
                f"{quoted_name(one.name)} {column_type(one, dialect)}" for one in field.fields
            )
            return f"STRUCT({inner})" if is_duckdb else "jsonb"
        case Kind.LIST:
            assert field.items is not None
            of = column_type(field.items, dialect)
            return of if of == "jsonb" else f"{of}[]"
        case _:
            return _TYPES[field.kind][0 if is_duckdb else 1]
