"""Columns behind their masks: in whatever layout they come, within records and lists, and without a value that is not hidden."""

from __future__ import annotations

import pyarrow as pa
import pytest
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.hidden import hidden_field, is_keyed
from runink.contracts.hiding import hidden
from runink.contracts.physical import physical_type
from runink.errors import Refused

KEY = bytes(range(32))
EMAIL = FieldSpec("email", Kind.STR, mask="hash")
STREET = FieldSpec("street", Kind.STR, mask="redact")
TOWN = FieldSpec("town", Kind.STR)
HOME = FieldSpec("home", Kind.RECORD, fields=(STREET, TOWN))
HOMES = FieldSpec("homes", Kind.LIST, items=FieldSpec("", Kind.RECORD, fields=(STREET, TOWN)))


def behind(column: pa.Array, field: FieldSpec, *, name: str = "", key: bytes = KEY) -> pa.Array:
    batch = pa.RecordBatch.from_arrays(
        [column, pa.array(range(len(column)))], [name or field.name, "other"]
    )
    found = hidden(batch, [field], key)
    assert found.column(1).equals(batch.column(1))
    found.validate(full=True)
    return found.column(0)


@pytest.mark.parametrize(
    "layout",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_equal_values_have_equal_hashes_in_every_layout(layout):
    plain = pa.array(["a@x", None, "a@x", "b@x"])
    column = plain.dictionary_encode() if pa.types.is_dictionary(layout) else plain.cast(layout)
    found = behind(column, EMAIL)
    assert found.equals(behind(plain, EMAIL))
    first, nothing, again, other = found.to_pylist()
    assert first == again != other
    assert nothing is None
    assert len(first) == 64


def test_another_key_gives_other_hashes():
    column = pa.array(["a@x"])
    assert behind(column, EMAIL) != behind(column, EMAIL, key=KEY[::-1])


def test_a_mask_that_needs_a_key_is_refused_without_one():
    with pytest.raises(Refused) as caught:
        behind(pa.array(["a@x"]), EMAIL, key=b"")
    assert caught.value.code == "mask_key"


def test_columns_are_found_without_regard_to_case():
    assert behind(pa.array(["a@x"]), EMAIL, name="Email").to_pylist() != ["a@x"]


def test_a_column_that_is_not_there_hides_nothing():
    batch = pa.RecordBatch.from_pydict({"n": [1]})
    assert hidden(batch, [EMAIL], KEY).equals(batch)


def test_a_column_of_nothing_keeps_the_type_that_its_values_would_have():
    assert behind(pa.nulls(2), FieldSpec("n", Kind.INT, mask="hash")).type == pa.string()


def test_a_number_that_a_step_made_wide_is_masked_like_a_narrow_one():
    field = FieldSpec("n", Kind.INT, ge=0, le=100, mask="tokenise")
    narrow, wide = (behind(pa.array([7], kind), field) for kind in (pa.int8(), pa.int64()))
    assert narrow.equals(wide)


def test_only_the_parts_of_a_record_that_have_a_mask_are_hidden():
    column = pa.array([{"street": "Elm 1", "town": "Bonn"}, None, {"street": None, "town": "Köln"}])
    assert behind(column, HOME).to_pylist() == [
        {"street": "***", "town": "Bonn"},
        None,
        {"street": None, "town": "Köln"},
    ]


def test_what_lies_beneath_a_record_that_is_not_there_is_gone():
    parts = [pa.array(["secret"]), pa.array(["Bonn"])]
    column = pa.StructArray.from_arrays(parts, ["street", "town"], mask=pa.array([True]))
    found = behind(column, FieldSpec("home", Kind.RECORD, fields=(TOWN, STREET)))
    assert "secret" not in str(found.field(0))


@pytest.mark.parametrize("layout", [pa.list_, pa.large_list], ids=["list", "large_list"])
def test_the_items_of_a_list_are_hidden(layout):
    kind = layout(pa.struct([("street", pa.string()), ("town", pa.string())]))
    rows = [[{"street": "Elm 1", "town": "Bonn"}, {"street": "Oak 2", "town": "Ulm"}], None, []]
    column = pa.array([[], *rows], kind).slice(1)
    assert behind(column, HOMES).to_pylist() == [
        [{"street": "***", "town": "Bonn"}, {"street": "***", "town": "Ulm"}],
        None,
        [],
    ]


@pytest.mark.parametrize(
    ("column", "field"),
    [
        (pa.array(["secret"]), FieldSpec("n", Kind.INT, mask="hash")),
        (pa.array(["secret"]), HOME),
        (pa.array(["secret"]), HOMES),
        (pa.array([{"street": "x", "town": "y", "more": "secret"}]), HOME),
    ],
)
def test_what_is_not_of_its_field_is_refused_and_not_shown(column, field):
    with pytest.raises(Refused) as caught:
        behind(column, field)
    assert caught.value.code == "mask_misfit"
    assert "secret" not in f"{caught.value.text}{caught.value.hint}"


@pytest.mark.parametrize("field", [EMAIL, HOME, HOMES], ids=lambda field: field.name)
def test_what_a_field_is_said_to_be_once_it_is_hidden_is_what_its_column_becomes(field):
    column = pa.nulls(1, physical_type(field))
    assert behind(column, field).type == physical_type(hidden_field(field))


def test_a_field_needs_the_key_where_a_part_of_it_does():
    keyed = FieldSpec("homes", Kind.LIST, items=FieldSpec("", Kind.RECORD, fields=(EMAIL, TOWN)))
    assert [is_keyed(one) for one in (EMAIL, keyed, HOMES, TOWN)] == [True, True, False, False]
