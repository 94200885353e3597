"""Single values hidden: what Arrow leaves of a column, or less."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.hidden_values import hidden_value
from runink.contracts.hiding import hidden

PARTS = (
    FieldSpec("street", Kind.STR, pii="address", mask="redact"),
    FieldSpec("town", Kind.STR, mask="truncate(2)"),
    FieldSpec("floor", Kind.INT),
)
HOME = FieldSpec("home", Kind.RECORD, fields=PARTS)
HOMES = FieldSpec("homes", Kind.LIST, items=HOME)
HERE: dict[str, Any] = {"street": "Elm", "town": "Ulm", "floor": 3}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (FieldSpec("x", Kind.STR, mask="redact"), "Zora"),
        (FieldSpec("x", Kind.STR, mask="truncate(2)"), "Zora"),
        (FieldSpec("x", Kind.STR, mask="truncate(0)"), "Zora"),
        (FieldSpec("x", Kind.STR), "Zora"),
        (FieldSpec("x", Kind.STR, mask="redact"), None),
        (FieldSpec("x", Kind.INT, mask="redact"), 7),
        (HOME, HERE),
        (HOME, HERE | {"street": None}),
        (HOMES, [HERE, HERE | {"town": "Bonn"}]),
        (HOMES, []),
    ],
)
def test_it_leaves_what_a_sink_is_left(field: FieldSpec, value: Any) -> None:
    batch = pa.RecordBatch.from_pydict({field.name: [value]})
    assert hidden_value(value, field) == hidden(batch, [field], b"").column(0).to_pylist()[0]


@pytest.mark.parametrize("mask", ["hash", "tokenise"])
def test_what_takes_the_herds_key_is_redacted(mask: str) -> None:
    assert hidden_value("Zora", FieldSpec("x", Kind.STR, mask=mask)) == "***"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (FieldSpec("x", Kind.INT, mask="generalise(10)"), 57),
        (FieldSpec("x", Kind.INT, mask="hash"), 57),
        (FieldSpec("x", Kind.STR, mask="truncate(1)"), 57),
        (FieldSpec("x", Kind.STR, mask="redact"), ["Zora"]),
        (FieldSpec("x", Kind.RECORD, fields=PARTS, mask="redact"), HERE),
        (HOME, "Elm Street, Ulm"),
        (HOMES, HERE),
    ],
)
def test_of_a_bucket_and_of_another_shape_nothing_is_left(field: FieldSpec, value: Any) -> None:
    assert hidden_value(value, field) is None


def test_parts_are_found_without_regard_to_case_and_others_hidden() -> None:
    assert hidden_value({"STREET": "Elm", "Floor": 3, "door": "left"}, HOME) == {
        "STREET": "***",
        "Floor": 3,
        "door": None,
    }
