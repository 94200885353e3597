"""Rows that are made keep their contract, and those that are made to break it break it as promised: told by a reader and a checker that know nothing of how they were made."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import contract_oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.cli.synth import FORMS, Writer
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.synthesis import Synthesis, Wish
from runink.contracts.synthesis_texts import no_words
from runink.dag import Format

YEARS = (datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))
SIDES = st.sampled_from([("ge", "le"), ("gt", "lt"), ("ge", "lt"), ("gt", "le"), ("ge", ""), ("", "lt"), ("", "")])  # fmt: skip


def around(
    values: st.SearchStrategy[Any], step: Any, said: Any
) -> st.SearchStrategy[dict[str, Any]]:
    """Bounds between which there is a value."""
    return st.builds(
        lambda value, sides, width: {
            name: said(end)
            for name, end in zip(sides, (value - step * width, value + step * width), strict=True)
            if name
        },
        values,
        SIDES,
        st.integers(1, 1000),
    )


RULES = {
    Kind.INT: st.one_of(
        around(st.integers(-(2**62), 2**62), 1, int),
        st.just({"ge": -(2**63), "le": 2**63 - 1}),
        st.just({"multiple_of": 7, "ge": 1}),
        st.lists(st.integers(-5, 300), min_size=1, max_size=4).map(lambda values: {"choices": tuple(values)}),
    ),
    Kind.FLOAT: st.one_of(
        st.builds(lambda bounds, allowed: bounds | {"allow_inf_nan": allowed}, around(st.floats(-1e6, 1e6), 0.01, float), st.booleans()),
        st.sampled_from([{"multiple_of": 0.25}, {"multiple_of": 0.1, "le": 5.0}]),
    ),
    Kind.BOOL: st.just({}),
    Kind.STR: st.one_of(
        st.sampled_from([{}, {"min_length": 2}, {"max_length": 3}, {"min_length": 3, "max_length": 3}, {"min_length": 300}, {"max_length": 1}]),
        st.sampled_from([{"pattern": "[[:upper:]]{2}"}, {"pattern": "a|ABC", "max_length": 2}, {"pattern": ".*", "min_length": 9}, {"pattern": r"\w+", "max_length": 3}]),
        st.sampled_from([{"format": "ipv4"}, {"format": "ipv6"}, {"format": "uuid"}, {"format": "date"}]),
        st.just({"choices": ("AB", "abc", "x y")}),
    ),
    Kind.BYTES: st.sampled_from([{}, {"min_length": 2, "max_length": 5}]),
    Kind.DATE: around(st.dates(YEARS[0].date(), YEARS[1].date()), timedelta(days=1), str),
    Kind.DATETIME: around(
        st.datetimes(*(end.replace(tzinfo=None) for end in YEARS), timezones=st.just(UTC)), timedelta(microseconds=977), lambda d: d.isoformat(timespec="microseconds")
    ),
    Kind.TIME: st.sampled_from([{}, {"ge": "09:00:00", "lt": "17:30:00"}, {"gt": "23:59:59.999990"}, {"le": time().isoformat()}]),
    Kind.DECIMAL: st.one_of(
        around(st.decimals(-100, 100, places=2), Decimal("0.01"), str),
        st.sampled_from([{"multiple_of": "0.05", "digits": 6, "scale": 2}, {"digits": 5, "scale": 2}, {"digits": 4, "scale": 4}, {"digits": 10, "scale": 0}, {"digits": 38, "scale": 38}, {"digits": 38, "scale": 0}]),
    ),
}  # fmt: skip
FLAT = sorted(RULES, key=lambda kind: kind.value)


@st.composite
def fields(draw: st.DrawFn, name: str, depth: int) -> FieldSpec:
    kinds = [*FLAT, *([Kind.RECORD, Kind.LIST] * 3 if depth else [])]
    kind = draw(st.sampled_from(kinds))
    nullable = draw(st.booleans())
    match kind:
        case Kind.RECORD:
            inner = tuple(
                draw(fields(one, depth - 1)) for one in ["x", "y"][: draw(st.integers(1, 2))]
            )
            return FieldSpec(name, kind, nullable=nullable, fields=inner)
        case Kind.LIST:
            lengths = draw(
                st.sampled_from(
                    [{}, {"min_length": 2}, {"max_length": 2}, {"min_length": 1, "max_length": 1}]
                )
            )
            item = draw(fields("item", depth - 1))
            return FieldSpec(name, kind, nullable=nullable, items=item, **lengths)
        case _:
            return FieldSpec(name, kind, nullable=nullable, **draw(RULES[kind]))


@st.composite
def specs(draw: st.DrawFn, *, depth: int = 0, policies: Any = Coercion) -> ContractSpec:
    # A field that can be broken in any form: of a contract that takes any row none is made that breaks it.
    first = FieldSpec("n", Kind.INT, ge=1, le=10**6, unique=draw(st.booleans()))
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    coercion = draw(st.sampled_from(policies))
    others = tuple(draw(fields(name, depth)) for name in names)
    return ContractSpec("T", "1.0.0", (first, *others), coercion=coercion)


# Python's reader of JSON makes floats of decimals, which a strict field does not take.
LOOSE = [Coercion.SAFE, Coercion.LENIENT]
CASES = st.one_of(
    st.tuples(specs(), st.just(Format.CSV)),
    st.tuples(specs(depth=2, policies=LOOSE), st.just(Format.CSV)),
    st.tuples(specs(depth=2, policies=LOOSE), st.just(Format.JSONL)),
)


def made(spec: ContractSpec, kind: Format, seed: int, **wish: Any) -> tuple[bytes, list[dict[str, Any]]]:  # fmt: skip
    rows, reasons = io.BytesIO(), io.BytesIO()
    synthesis = Synthesis(spec, Wish(form=FORMS[kind], **wish), Random(seed), no_words)
    Writer(spec, kind, rows, reasons).write(synthesis.chunks())
    return rows.getvalue(), [json.loads(line) for line in reasons.getvalue().splitlines()]


def read(body: bytes, kind: Format) -> list[dict[str, Any]]:
    if kind is Format.JSONL:
        return [json.loads(line) for line in body.splitlines()]
    listed = list(csv.reader(io.StringIO(body.decode(), newline="")))
    # As a source reads it: what is empty is nothing.
    return [{name: text or None for name, text in zip(listed[0], row, strict=True)} for row in listed[1:]]  # fmt: skip


@settings(max_examples=60)
@given(CASES, st.integers(0, 99), st.sampled_from([{}, {"edges": True}]))
def test_rows_keep_their_contract(
    case: tuple[ContractSpec, Format], seed: int, more: dict[str, bool]
) -> None:
    spec, kind = case
    body, _ = made(spec, kind, seed, rows=40, **more)
    good, bad = contract_oracle.judged(read(body, kind), spec)
    assert (len(good), bad) == (40, [])


@settings(max_examples=60)
@given(CASES, st.integers(0, 99))
def test_broken_rows_break_what_was_promised_and_no_other_row_breaks_anything(
    case: tuple[ContractSpec, Format], seed: int
) -> None:
    spec, kind = case
    body, reasons = made(spec, kind, seed, rows=60, broken_ratio=0.5)
    _, bad = contract_oracle.judged(read(body, kind), spec)
    found = dict(bad)
    assert [one["row"] for one in reasons] == sorted(found)
    assert len(reasons) == 30
    for one in reasons:
        assert (one["field"], one["rule"]) in found[one["row"]]


@settings(max_examples=30)
@given(specs(), st.sampled_from(list(FORMS)), st.integers(0, 99))
def test_the_same_seed_gives_the_same_bytes(spec: ContractSpec, kind: Format, seed: int) -> None:
    wish: dict[str, Any] = {"rows": 50, "broken_ratio": 0.2, "edges": True}
    assert made(spec, kind, seed, **wish) == made(spec, kind, seed, **wish)
