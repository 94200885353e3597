"""Contracts behind one another, field by field: what cannot pass is a mistake, what may not is a note."""

from __future__ import annotations

import pytest
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, OnDrift
from runink.dag import Format
from runink.dsl.fitting import fit
from runink.errors import Invalid
from runink.testing.projects import MemoryProject, compile_text


def of(*fields: FieldSpec, name: str = "C", coercion: Coercion = Coercion.SAFE) -> ContractSpec:
    return ContractSpec(name, "1.0.0", fields, where="contracts/x.py", coercion=coercion)


def x(kind: Kind = Kind.INT, **rules: object) -> FieldSpec:
    return FieldSpec("x", kind, **rules)  # type: ignore[arg-type] - rules are of any kind


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [
        (x(Kind.INT), x(Kind.STR), "x is an int there and a str here"),
        (x(Kind.BOOL), x(Kind.INT), "x is a bool there and an int here"),
        (x(ge=10), x(lt=10), "x is from 10 there and below 10 here"),
        (x(le=1), x(gt=1), "x is up to 1 there and above 1 here"),
        (x(choices=(1, 2)), x(choices=(3,)), "x is one of 1, 2 there and one of 3 here"),
        (x(choices=(1, 2)), x(ge=5), "x is one of 1, 2 there and from 5 here"),
        (x(ge=5), x(choices=(1,)), "x is from 5 there and one of 1 here"),
        (
            x(Kind.STR, max_length=2),
            x(Kind.STR, min_length=3),
            "x is of lengths up to 2 there and from 3 here",
        ),
        (
            x(Kind.DATETIME, lt="2013-01-01T00:00:00+00:00"),
            x(Kind.DATETIME, ge="2013-01-01T01:00:00+01:00"),
            "x is below 2013-01-01 00:00:00+00:00 there and from 2013-01-01 01:00:00+01:00 here",
        ),
    ],
)
def test_what_no_row_can_pass_is_a_misfit(ours: FieldSpec, theirs: FieldSpec, why: str) -> None:
    (misfit,) = fit(of(ours), of(theirs)).misfits
    assert misfit.text == why


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [
        (x(nullable=True), x(), "x may be missing"),
        (x(nullable=True, ge=2), x(nullable=True, le=1), "only rows without it pass"),
        (x(), x(ge=1), "x is anything there and from 1 here"),
        (x(choices=(1, 7)), x(choices=(1, 2)), "x may be 7"),
        (x(Kind.STR), x(Kind.INT), "x is a str there and an int here"),
    ],
)
def test_what_some_rows_may_not_pass_is_a_doubt(
    ours: FieldSpec, theirs: FieldSpec, why: str
) -> None:
    found = fit(of(ours), of(theirs))
    assert not found.misfits
    assert why in found.doubted()


def test_a_field_that_has_a_default_may_be_missing_and_one_that_has_none_may_not() -> None:
    wanted = FieldSpec("planes", Kind.INT)
    (misfit,) = fit(of(FieldSpec("plane", Kind.INT)), of(wanted)).misfits
    assert misfit.hint == "did you mean plane?"
    filled = FieldSpec("planes", Kind.INT, has_default=True, default=1)
    assert not fit(of(x()), of(filled)).misfits


def test_a_file_of_text_lets_pass_what_arrow_does_not() -> None:
    ours, theirs = of(x(Kind.INT)), of(x(Kind.STR))
    assert not fit(ours, theirs, by=Format.CSV).misfits
    assert fit(ours, theirs, by=Format.PARQUET).misfits


def test_json_has_no_word_for_nan_so_what_may_be_nan_may_be_missing() -> None:
    ours, theirs = of(x(Kind.FLOAT, allow_inf_nan=True)), of(x(Kind.BOOL, nullable=True))
    assert fit(ours, theirs, by=Format.PARQUET).misfits
    assert not fit(ours, theirs, by=Format.JSONL).misfits
    assert "x may be missing" in fit(ours, of(x(Kind.FLOAT)), by=Format.JSONL).doubted()


def test_a_lenient_contract_and_a_masked_field_are_given_the_benefit_of_the_doubt() -> None:
    ours = x(Kind.BOOL)
    assert not fit(of(ours), of(x(Kind.INT), coercion=Coercion.LENIENT)).misfits
    masked = x(Kind.STR, choices=("a",), mask="redact")
    assert not fit(of(masked), of(x(Kind.STR, choices=("b",))), by=Format.CSV).misfits


def test_an_edge_that_evolves_does_without_what_may_hold_nothing() -> None:
    ours, theirs = of(x()), of(x(), FieldSpec("y", Kind.INT, nullable=True))
    assert fit(ours, theirs).misfits
    assert not fit(ours, theirs, on_drift=OnDrift.EVOLVE).misfits


WRITTEN = of(x(ge=10), FieldSpec("name", Kind.STR, nullable=True), name="Written")
PROJECT = MemoryProject(
    {},
    {
        "contracts/x.py:Written": WRITTEN,
        "contracts/x.py:Small": of(x(le=1), name="Small"),
        "contracts/x.py:Named": of(x(), FieldSpec("name", Kind.STR), name="Named"),
    },
)


def pipeline(reader: str, *between: str) -> str:
    return "\n".join(
        [
            "Feature: F",
            "Scenario: One",
            '@source("csv://a.csv")',
            '@contract("contracts/x.py:Written")',
            '@sink("sf:bronze.x")',
            "Scenario: Two",
            '@source("sf://bronze.x")',
            *between,
            f'@contract("contracts/x.py:{reader}")',
            '@sink("csv://b.csv")',
        ]
    )


def test_what_one_scenario_writes_must_be_what_the_next_one_reads() -> None:
    with pytest.raises(Invalid) as caught:
        compile_text(pipeline("Small"), project=PROJECT)
    (finding,) = caught.value.findings
    assert finding.code == "D042"
    assert finding.span is not None
    assert finding.span.line == 8
    assert "x is from 10 there and up to 1 here" in finding.text


def test_behind_a_step_nothing_is_known_and_nothing_is_told() -> None:
    compile_text(pipeline("Small", '@step(run="cat")'), project=PROJECT)


def test_rows_that_may_be_rejected_are_a_note() -> None:
    (note,) = compile_text(pipeline("Named"), project=PROJECT).notes
    assert note == "two.contract may reject rows that keep Written: name may be missing"
