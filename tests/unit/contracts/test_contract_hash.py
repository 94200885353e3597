"""The hash of a contract: one for each meaning, for ever."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from runink.contracts.canonical import canonical
from runink.contracts.diff import diff
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, RuleSpec
from runink.expressions import Binary, Literal, Name, Operator

POSITIVE = RuleSpec("positive", "price > 0", Binary(Operator.GT, Name("price"), Literal(0)))
LINE = FieldSpec("line", Kind.RECORD, fields=(FieldSpec("sku", Kind.STR, pattern="[A-Z]{3}"),))
TICKET = ContractSpec(
    "Ticket",
    "1.0.0",
    (
        FieldSpec("number", Kind.INT, ge=1, le=99999),
        FieldSpec("price", Kind.DECIMAL, ge="0.50", unit="EUR"),
        FieldSpec("share", Kind.FLOAT, lt=1.0, has_default=True, default=0.5),
        FieldSpec("origin", Kind.STR, choices=("EWR", "JFK"), pii="place", tags={"b": "1", "a": "2"}),
        FieldSpec("sold", Kind.DATETIME, nullable=True, ge="2013-01-01T00:00:00+00:00"),
        FieldSpec("lines", Kind.LIST, items=LINE, max_length=9),
    ),
    key=("number", "origin"),
    rules=(POSITIVE,),
    tags={"owner": "ann"},
)  # fmt: skip


def of(name, **said):
    """Return the contract with a field of it said anew."""
    return replace(
        TICKET,
        fields=tuple(
            replace(field, **said) if field.name == name else field for field in TICKET.fields
        ),
    )


def test_hashes_are_pinned():
    """They stand in the Barn: a release that gives a contract another hash makes every published version a taken one."""
    plain = ContractSpec("Flight", "1.0.0", (FieldSpec("month", Kind.INT, ge=1, le=12),))
    assert plain.hash == "14796ee1a51f11fe113968ae98c6bc111f9e1f58fb7fd00ca7533f9aa8cde57d"
    assert TICKET.hash == "5fa4b7eced8f4ca0a0652e35210433fa1da23250d7dc9bbb239d3865739ff822"


@pytest.mark.parametrize(
    "same",
    [
        replace(TICKET, version="7.0.0"),
        replace(TICKET, where="contracts/other.py"),
        replace(TICKET, description="In other words."),
        replace(TICKET, key=("origin", "number")),
        replace(TICKET, rules=(replace(POSITIVE, text="price>0", description="x"),)),
        of("number", description="x", lineage="the till"),
        of("number", ge=1, min_length=0),
        of("price", digits=38, scale=9),
        of("price", ge="0.5"),
        of("share", lt=1),
        of("share", coercion=Coercion.SAFE),
        of("origin", choices=("JFK", "EWR")),
        of("origin", tags={"a": "2", "b": "1"}),
        of("sold", ge="2013-01-01T01:00:00+01:00"),
        of("lines", items=replace(LINE, description="x")),
    ],
)
def test_what_means_the_same_has_the_same_hash(same):
    assert same.hash == TICKET.hash


@pytest.mark.parametrize(
    "other",
    [
        replace(TICKET, name="Tickets"),
        replace(TICKET, fields=TICKET.fields[::-1]),
        replace(TICKET, key=("number",)),
        replace(TICKET, rules=()),
        replace(TICKET, coercion=Coercion.STRICT),
        replace(TICKET, tags={"owner": "bob"}),
        of("number", le=9),
        of("number", nullable=True),
        of("price", unit="USD"),
        of("share", default=0.25),
        of("origin", pii=""),
        of("origin", tags={"a": "2"}),
        of("origin", access=("support",)),
        of("origin", mask="redact"),
        of("lines", items=replace(LINE, nullable=True)),
        of("lines", items=replace(LINE, fields=(FieldSpec("sku", Kind.STR),))),
    ],
)
def test_what_means_something_else_has_another(other):
    assert other.hash != TICKET.hash


def test_what_a_field_says_that_holds_within_its_record_anyway_is_no_change():
    def strict(inner):
        line = replace(LINE, coercion=Coercion.STRICT, fields=(inner,))
        return of("lines", items=line)

    sku = LINE.fields[0]
    said, unsaid = strict(replace(sku, coercion=Coercion.STRICT)), strict(sku)
    assert said.hash == unsaid.hash
    assert diff(said, unsaid).changes == ()
    safe = strict(replace(sku, coercion=Coercion.SAFE))  # the contract's own, and not the record's
    assert safe.hash != unsaid.hash
    assert [one.path for one in diff(safe, unsaid).changes] == ["lines[].sku"]


def test_the_canonical_form_of_fields_is_its_own():
    assert canonical(canonical(TICKET)).fields == canonical(TICKET).fields


def test_how_a_choice_is_written_does_not_count():
    one, other = (
        ContractSpec("T", "1.0.0", (FieldSpec("d", Kind.DECIMAL, choices=choices),))
        for choices in (("1.50", "2"), ("2.0", "1.5"))
    )
    assert one.hash == other.hash
    assert diff(one, other).changes == ()
