"""The reference says what the code has: every table is compared with the code's, and every example of coercion is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from contract_checking import outcomes
from runink.contracts import annotations, drift
from runink.contracts.annotations import KINDS, Field
from runink.contracts.fields import Coercion, Kind
from runink.contracts.fitting import FIT
from runink.contracts.formats import EXAMPLES, FORMATS
from runink.contracts.masks import KINDS_OF
from runink.contracts.messages import CODES

PAGE = (Path(__file__).parents[3] / "docs/reference/contracts.md").read_text()
ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)


def rows(heading):
    """Return the cells of all tables under a heading, without their heads."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [match[1].replace(r"\|", "\0") for match in ROW.finditer(section)]
    cells = [[cell.replace("\0", "|") for cell in line.split(" | ")] for line in lines]
    tables = re.findall(r"\n\|[- |]+\|\n", section)
    assert tables
    return cells[1:]


def codes(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_parameter_of_a_field_is_described():
    described = [name for row in rows("Field(…)") for name in codes(row[0])]
    assert sorted(described) == sorted(Field.__struct_fields__)
    assert set(FIT) | {"name", "default"} == set(described)


def test_every_type_is_described():
    described = [row[1] for row in rows("Types")]
    assert [kind for kind in Kind if f"`{kind.value}`" not in " ".join(described)] == []
    named = " ".join(row[0] for row in rows("Types"))
    assert [kind for kind in KINDS if f"`{kind.__name__}`" not in named] == []


def test_every_reason_is_described():
    described = [code for row in rows("Reasons") for code in codes(row[0])]
    assert described == [*CODES, "rule:NAME", drift.RULE]


def test_every_format_is_described_with_its_example():
    assert {row[0].strip("`"): row[1].strip("`") for row in rows("Formats")} == EXAMPLES
    assert EXAMPLES.keys() == FORMATS.keys()


def test_every_mask_is_described():
    assert [codes(row[0])[0].partition("(")[0] for row in rows("Masks")] == list(KINDS_OF)


def test_every_mistake_is_described_as_the_code_does():
    table = dict(re.findall(r"^    (C\d{3})   (.*)$", annotations.__doc__, re.MULTILINE))
    assert {row[0].strip("`"): row[1].replace("`", "") for row in rows("Mistakes")} == table


EXAMPLE_ROWS = [row for row in rows("What a value is taken for") if len(row) == 5 and "`" in row[1]]


@pytest.mark.parametrize("row", EXAMPLE_ROWS, ids=lambda row: " ".join(row[:2]))
def test_each_example_of_coercion_is_what_happens(row):
    kind, (text,) = Kind(row[0].strip("`")), codes(row[1])
    for policy, said in zip(Coercion, row[2:], strict=True):
        (found,) = outcomes([text], kind, coercion=policy)
        assert ("—" if isinstance(found, tuple) else str(found)) == said, policy


def test_there_are_examples_of_each_kind_of_value():
    assert len(EXAMPLE_ROWS) > 25
