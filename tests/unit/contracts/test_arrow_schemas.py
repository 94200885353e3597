"""The Arrow schema of a contract: its types, what stands in its metadata, and both of its forms."""

from __future__ import annotations

import msgspec
import pyarrow as pa
from runink.contracts.arrow_schema import arrow_schema, schema_bytes, schema_json
from runink.contracts.fields import ContractSpec, FieldSpec, Kind

PLACE = FieldSpec("at", Kind.RECORD, fields=(FieldSpec("lat", Kind.FLOAT, unit="degrees"),))
SPEC = ContractSpec(
    "Trip",
    "1.2.0",
    (
        FieldSpec("id", Kind.INT, ge=0, le=100, description="a number"),
        FieldSpec(
            "email", Kind.STR, nullable=True, pii="email", access=("a", "b"), tags={"owner": "ann"}
        ),
        FieldSpec("price", Kind.DECIMAL, digits=10, scale=2),
        FieldSpec("when", Kind.DATETIME),
        FieldSpec("day", Kind.DATE),
        FieldSpec("clock", Kind.TIME),
        FieldSpec("raw", Kind.BYTES),
        FieldSpec("yes", Kind.BOOL),
        PLACE,
        FieldSpec("stops", Kind.LIST, items=msgspec.structs.replace(PLACE, name="item")),
    ),
    where="contracts/x.py",
)


def test_types_are_those_behind_a_check_and_what_must_be_there_is_not_nullable():
    schema = arrow_schema(SPEC)
    assert schema.field("id") == pa.field("id", pa.int8(), nullable=False)
    assert schema.field("email").nullable
    inner = pa.struct([pa.field("lat", pa.float64(), nullable=False)])
    assert schema.field("stops").type == pa.list_(pa.field("item", inner, nullable=False))


def test_metadata_tells_what_types_do_not():
    schema = arrow_schema(SPEC)
    assert schema.field("id").metadata == {b"description": b"a number"}
    assert schema.field("email").metadata == {
        b"runink.pii": b"email",
        b"runink.access": b"a,b",
        b"runink.tag.owner": b"ann",
    }
    assert schema.field("at").type.field("lat").metadata == {b"runink.unit": b"degrees"}
    assert schema.metadata[b"runink.version"] == b"1.2.0"
    assert schema.metadata[b"runink.hash"].decode() == SPEC.hash


def test_the_whole_contract_is_in_the_schema():
    whole = msgspec.json.decode(arrow_schema(SPEC).metadata[b"runink.spec"], type=ContractSpec)
    assert whole == msgspec.structs.replace(SPEC, where="")


def test_arrow_reads_its_bytes_back():
    schema = arrow_schema(SPEC)
    read = pa.ipc.read_schema(pa.py_buffer(schema_bytes(schema)))
    assert read.equals(schema, check_metadata=True)


def test_the_json_is_arrows_own():
    fields = {one["name"]: one for one in schema_json(arrow_schema(SPEC))["fields"]}
    assert fields["id"]["type"] == {"name": "int", "bitWidth": 8, "isSigned": True}
    assert fields["price"]["type"] == {
        "name": "decimal",
        "precision": 10,
        "scale": 2,
        "bitWidth": 128,
    }
    assert fields["when"]["type"] == {"name": "timestamp", "unit": "MICROSECOND", "timezone": "UTC"}
    assert fields["clock"]["type"] == {"name": "time", "unit": "MICROSECOND", "bitWidth": 64}
    assert [
        fields[name]["type"]["name"] for name in ("email", "day", "raw", "yes", "at", "stops")
    ] == ["utf8", "date", "binary", "bool", "struct", "list"]
    (item,) = fields["stops"]["children"]
    assert (item["name"], item["children"][0]["name"]) == ("item", "lat")
    assert fields["email"]["metadata"][0] == {"key": "runink.pii", "value": "email"}
