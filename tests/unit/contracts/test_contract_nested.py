"""Records and lists: what is inside is checked like all else, its reasons name the way to it, and what is good is not copied."""

from __future__ import annotations

import pyarrow as pa
import pytest
from contract_checking import checked, messages, outcomes, told
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.plan import compile_plan
from runink.contracts.reasons import Example
from runink.errors import Refused

ZIP = FieldSpec("zip", Kind.STR, pattern="[0-9]+")
ADDRESS = FieldSpec("address", Kind.RECORD, fields=(ZIP, FieldSpec("n", Kind.INT, ge=1, le=9)))
PRICE = FieldSpec("price", Kind.FLOAT, ge=0.0)
ITEMS = FieldSpec(
    "items", Kind.LIST, max_length=3, items=FieldSpec("item", Kind.RECORD, fields=(PRICE,))
)
NUMBERS = FieldSpec("n", Kind.LIST, items=FieldSpec("item", Kind.INT, nullable=True, ge=0))


def prices(*values):
    return [{"price": value} for value in values]


def test_reasons_name_the_way_to_what_is_wrong():
    result = checked(
        {
            "address": [{"zip": "12", "n": 1}, {"zip": "x", "n": 0}, None],
            "items": [prices(1.0), prices(1.0, 2.0, 3.0, -4.0), [{"price": None}, None]],
        },
        ADDRESS,
        ITEMS,
    )
    assert told(result) == {
        1: [("address.zip", "pattern"), ("address.n", "ge"), ("items", "max_length"), ("items[3].price", "ge")],
        2: [("address", "missing"), ("items[1]", "missing"), ("items[0].price", "missing")],
    }  # fmt: skip
    assert messages(result) == [
        "address.zip is 'x', not of the form [0-9]+",
        "address.n is 0, not at least 1",
        "items is 4, not at most 3 items long",
        "items[3].price is -4, not at least 0.0",
        "address is missing",
        "items[1] is missing",
        "items[0].price is missing",
    ]
    assert result.rejected.counts[("items[].price", "ge")] == 1
    assert result.good.to_pylist() == [{"address": {"zip": "12", "n": 1}, "items": prices(1.0)}]


def test_a_row_with_many_wrong_items_is_counted_once_a_rule():
    result = checked({"n": [[-1, -2, 3], [-1]]}, NUMBERS)
    assert told(result) == {0: [("n[0]", "ge"), ("n[1]", "ge")], 1: [("n[0]", "ge")]}
    assert result.rejected.counts == {("n[]", "ge"): 2}
    assert result.rejected.examples == {("n[]", "ge"): Example(0, "n[0] is -1, not at least 0")}


def test_lists_in_lists_name_both_places():
    inner = FieldSpec("item", Kind.LIST, items=FieldSpec("item", Kind.INT, ge=0))
    result = checked({"m": [[[1], []], [[0], [5, -1]]]}, FieldSpec("m", Kind.LIST, items=inner))
    assert told(result) == {1: [("m[1][1]", "ge")]}


def test_nothing_inside_a_record_that_is_not_there_is_missing():
    field = FieldSpec("address", Kind.RECORD, nullable=True, fields=(ZIP,))
    kind = pa.struct([("zip", pa.string())])
    # A record that is not there may hide anything below it.
    hidden = pa.StructArray.from_arrays([pa.array(["x", None])], ["zip"], mask=pa.array([True, False]))  # fmt: skip
    result = checked({"address": hidden}, field)
    assert told(result) == {1: [("address.zip", "missing")]}
    assert result.good.column(0).to_pylist() == [None]
    assert result.good.column(0).type == kind


def test_what_is_inside_is_coerced_and_others_dropped():
    column = [{"n": "07", "more": 1, "zip": "1"}]
    result = checked({"address": column}, ADDRESS)
    assert result.good.to_pylist() == [{"address": {"zip": "1", "n": 7}}]
    assert result.good.schema.field(0).type == pa.struct([("zip", pa.string()), ("n", pa.int8())])


def test_a_field_that_no_record_has_is_its_default_or_missing():
    fields = (
        FieldSpec("a", Kind.INT),
        FieldSpec("b", Kind.INT, has_default=True, default=7),
        FieldSpec("c", Kind.INT, nullable=True),
    )
    record = FieldSpec("r", Kind.RECORD, fields=fields)
    assert checked({"r": [{"a": 1}]}, record).good.to_pylist() == [{"r": {"a": 1, "b": 7, "c": None}}]  # fmt: skip
    assert told(checked({"r": [{"z": 1}, {"z": 2}]}, record)) == {0: [("r.a", "missing")], 1: [("r.a", "missing")]}  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2], None, []], pa.list_(pa.int8())),
        pa.array([[1, 2], None, []], pa.large_list(pa.int64())),
        pa.array([["1", "2"], None, []], pa.list_view(pa.string())),
        pa.array([[1, 2], None, []], pa.large_list_view(pa.float64())),
        pa.array(["[1, 2]", None, " [] "]),
        pa.array([[0], [1, 2], None, []], pa.list_(pa.int64()))[1:],
    ],
)
def test_a_list_comes_in_any_layout(column):
    assert outcomes(column, Kind.LIST, items=FieldSpec("item", Kind.INT)) == [[1, 2], None, []]


def test_a_list_of_fixed_size_is_a_list():
    column = pa.array([[1, 2], None], pa.list_(pa.int64(), 2))
    assert outcomes(column, Kind.LIST, items=FieldSpec("item", Kind.INT)) == [[1, 2], None]


def test_a_map_from_text_is_a_record():
    column = pa.array([[("zip", "12"), ("n", "3")], [("n", "3")], None], pa.map_(pa.string(), pa.string()))  # fmt: skip
    result = checked({"address": column}, ADDRESS)
    assert result.good.to_pylist() == [{"address": {"zip": "12", "n": 3}}]
    assert told(result) == {1: [("address.zip", "missing")], 2: [("address", "missing")]}


def test_the_text_of_json_is_taken_apart_value_by_value():
    texts = ['{"zip": "12", "n": 3, "x": [1]}', '{"n": "3", "zip": 1.50}', "[]", "{", None, '{"zip":null,"n":1}']  # fmt: skip
    result = checked({"address": texts}, ADDRESS)
    assert told(result) == {
        1: [("address.zip", "pattern")], 2: [("address", "type")], 3: [("address", "type")],
        4: [("address", "missing")], 5: [("address.zip", "missing")],
    }  # fmt: skip
    assert messages(result)[0] == "address.zip is '1.50', not of the form [0-9]+"
    assert result.good.to_pylist() == [{"address": {"zip": "12", "n": 3}}]


@pytest.mark.parametrize(
    "column",
    [pa.array([1]), pa.array([[1]]), pa.array([[(1, 2)]], pa.map_(pa.int64(), pa.int64())), pa.array([b"{}"])],
)  # fmt: skip
def test_what_is_no_record_is_of_the_wrong_type(column):
    assert told(checked({"address": column}, ADDRESS)) == {0: [("address", "type")]}


def test_no_message_shows_what_is_inside_of_personal_data():
    address = FieldSpec("address", Kind.RECORD, fields=ADDRESS.fields, pii="address")
    tags = FieldSpec("tags", Kind.LIST, items=FieldSpec("item", Kind.INT, pii="x"))
    result = checked({"address": [{"zip": "secret", "n": 4711}], "tags": [["secret"]]}, address, tags)  # fmt: skip
    assert messages(result) == [
        "address.zip is a value, not of the form [0-9]+",
        "address.n is a value, not at most 9",
        "tags[0] is a value, not an int",
    ]
    text = checked({"address": ['{"zip": "secret"'], "tags": [["1"]]}, address, tags)
    assert messages(text) == ["address is a value, not a record"]


def test_a_record_with_two_fields_of_one_name_is_refused():
    column = pa.StructArray.from_arrays([pa.array(["1"]), pa.array(["2"])], ["zip", "zip"])
    with pytest.raises(Refused, match="address has two fields called 'zip'"):
        checked({"address": column}, ADDRESS)


def addresses(column):
    return [buffer and buffer.address for buffer in column.buffers()]


def test_what_is_good_is_handed_on_as_it_came():
    """By the addresses of its buffers: nothing is copied, however deep it lies."""
    batch = pa.record_batch(
        {
            "address": pa.array([{"zip": "1", "n": 1}] * 3, pa.struct([("zip", pa.string()), ("n", pa.int8())])),
            "items": pa.array([prices(1.0), prices(2.0, 3.0), []]),
            "s": ["a", "b", "c"],
        }
    )  # fmt: skip
    plan = compile_plan(ContractSpec("T", "1.0.0", (ADDRESS, ITEMS, FieldSpec("s", Kind.STR))))
    for came in (batch, batch.slice(1)):
        good = plan.check(came).good
        for one, other in zip(good.columns, came.columns, strict=True):
            assert addresses(one) == addresses(other)


def test_only_what_changes_inside_is_made_anew():
    column = pa.array([{"zip": "1", "n": "1"}, {"zip": "2", "n": "2"}])
    good = checked({"address": column}, ADDRESS).good.column(0)
    assert addresses(good.field(0)) == addresses(column.field(0))
    assert good.field(1).type == pa.int8()


def test_an_empty_batch_of_records_has_the_schema():
    plan = compile_plan(ContractSpec("T", "1.0.0", (ADDRESS, ITEMS)))
    empty = pa.record_batch({"address": pa.array([], pa.string()), "items": pa.nulls(0)})
    for batch in (empty, pa.RecordBatch.from_arrays([], names=[])):
        assert plan.check(batch).good.schema == plan.schema
