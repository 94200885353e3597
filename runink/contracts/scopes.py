"""What expressions know of a contract: the names of its fields, and of which sort each is; and rules over a row, read by it.

Imported where expressions are read, never by a contract's file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.expressions.measures import MARK
from runink.expressions.parsing import Parsed, parse
from runink.expressions.typing import ListOf, RecordOf, Scope, Shape, Sort

_SORTS: Final = {
    Kind.INT: Sort.INT,
    Kind.FLOAT: Sort.NUMBER,
    Kind.DECIMAL: Sort.NUMBER,
    Kind.STR: Sort.TEXT,
    Kind.BOOL: Sort.BOOLEAN,
    Kind.DATE: Sort.DATE,
    Kind.DATETIME: Sort.TIME,
    Kind.TIME: Sort.CLOCK,
    Kind.BYTES: Sort.BYTES,
}


def fields_of(contract: ContractSpec) -> Scope:
    """Return the scope of a stream that a contract stands behind."""
    return scope_of(contract.fields, whose=contract.name)


def scope_of(fields: Iterable[FieldSpec], *, whose: str) -> Scope:
    """Return the scope of a row with these fields; `whose` they are is said where a name is not among them."""
    known = tuple(fields)
    marked = tuple(field.name for field in known if MARK in field.tags)
    return Scope({field.name: shape_of(field) for field in known}, whose=whose, event_times=marked)


def shape_of(field: FieldSpec) -> Shape:
    """Return what a field holds, as expressions see it."""
    match field.kind:
        case Kind.RECORD:
            return RecordOf({one.name: shape_of(one) for one in field.fields}, whose=field.name)
        case Kind.LIST:
            return ListOf(Sort.UNKNOWN if field.items is None else shape_of(field.items))
        case kind:
            return _SORTS[kind]


def rule(text: str, fields: Iterable[FieldSpec], *, whose: str) -> Parsed:
    """Read a rule over a contract's row: its expression, for a `RuleSpec`, or its mistakes, which count characters of `text` from 0."""
    return parse(text, scope_of(fields, whose=whose), wanted=Sort.BOOLEAN)
