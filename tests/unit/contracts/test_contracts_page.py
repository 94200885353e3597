"""The page for users says what runs: its contract is made, and its tables are checked against the plan."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from runink.contracts.contract import Contract, spec_of
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.plan import compile_plan
from runink.pipes.dead_letter import COLUMNS

PAGE = (Path(__file__).parents[3] / "docs/contracts.md").read_text()


@pytest.fixture(scope="module")
def ticket():
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(code[1], "docs/contracts.md", "exec", dont_inherit=True), names)
    found = names["Ticket"]
    assert isinstance(found, type)
    assert issubclass(found, Contract)
    return spec_of(found)


def test_the_pages_contract_checks_rows(ticket):
    row = {
        "number": "7",
        "sold": "2013-01-31 10:00+02:00",
        "origin": "JFK",
        "price": "12.50",
        "email": "a@b.c",
        "used": "2013-02-01",
    }
    good = pa.record_batch({name: [value] for name, value in row.items()})
    assert compile_plan(ticket).check(good).rejected is None
    bad = pa.record_batch(
        {
            name: [value]
            for name, value in (
                row | {"origin": "XXX", "email": None, "used": "2013-01-01"}
            ).items()
        }
    )
    rejected = compile_plan(ticket).check(bad).rejected
    assert rejected is not None
    assert set(rejected.counts) == {
        ("origin", "choices"),
        ("email", "missing"),
        ("", "rule:it is used after it was sold"),
    }


def test_whole_numbers_are_taken_as_the_page_says():
    row = re.search(r"\| `int` \| `12`(.*?)\|", PAGE)
    assert row is not None
    accepted, refused = row[0].split("; not")
    plan = compile_plan(ContractSpec("T", "1.0.0", (FieldSpec("x", Kind.INT),)))
    for text, is_good in [(t, True) for t in re.findall(r"`([^`]+)`", accepted)[1:]] + [
        (t, False) for t in re.findall(r"`([^`]+)`", refused)
    ]:
        assert (plan.check(pa.record_batch({"x": [text]})).rejected is None) is is_good, text


def test_the_page_names_every_column_of_a_dead_letter():
    assert all(f"`{name}`" in PAGE for name in COLUMNS.names)
