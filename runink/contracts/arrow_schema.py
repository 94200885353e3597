"""A contract as an Arrow schema, for whoever reads and writes Arrow, Parquet or Feather: as bytes of Arrow's own and as JSON.

The types are those that rows have behind a check (`physical.py`); a field that must hold something is not nullable.  Metadata of a field: `description`, which other tools
show, and below `runink.` what a contract says beyond its type (`runink.pii`, `runink.unit`, …). Metadata of the schema: `runink.contract`, `runink.version`,
`runink.hash`, and `runink.spec`, the whole contract as JSON.

The JSON is the form of Arrow's integration tests, the only one that Arrow defines.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pyarrow as pa

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type

OURS: Final = "runink."
_TOLD: Final = ("unit", "pii", "mask", "lineage", "format", "pattern")
_UNITS: Final = {"s": "SECOND", "ms": "MILLISECOND", "us": "MICROSECOND", "ns": "NANOSECOND"}


def arrow_schema(spec: ContractSpec) -> pa.Schema:
    """Return the schema with all that is known about the fields."""
    metadata = {
        f"{OURS}contract": spec.name,
        f"{OURS}version": spec.version,
        f"{OURS}hash": spec.hash,
        f"{OURS}spec": msgspec.json.encode(msgspec.structs.replace(spec, where="")).decode(),
    }
    return pa.schema([_field(field) for field in spec.fields], metadata)


def _field(field: FieldSpec) -> pa.Field:
    said = {f"{OURS}{name}": getattr(field, name) for name in _TOLD if getattr(field, name)}
    if field.access:
        said[f"{OURS}access"] = ",".join(field.access)
    said |= {f"{OURS}tag.{name}": value for name, value in field.tags.items()}
    if field.description:
        said["description"] = field.description
    return pa.field(field.name, _type(field), nullable=field.nullable, metadata=said or None)


def _type(field: FieldSpec) -> pa.DataType:
    if field.kind is Kind.RECORD:
        return pa.struct([_field(inner) for inner in field.fields])
    if field.kind is Kind.LIST and field.items is not None:
        return pa.list_(_field(field.items))
    return physical_type(field)


def schema_bytes(schema: pa.Schema) -> bytes:
    """Return the schema as an Arrow IPC message, which `pyarrow.ipc.read_schema` reads."""
    message: bytes = schema.serialize().to_pybytes()
    return message


def schema_json(schema: pa.Schema) -> dict[str, Any]:
    """Return the schema in Arrow's JSON."""
    return {"fields": [_field_json(field) for field in schema], **_metadata(schema.metadata)}


def _field_json(field: pa.Field) -> dict[str, Any]:
    kind = field.type
    children = [kind.field(place) for place in range(kind.num_fields)]
    return {
        "name": field.name,
        "nullable": field.nullable,
        "type": _type_json(kind),
        "children": [_field_json(child) for child in children],
        **_metadata(field.metadata),
    }


def _metadata(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    if not metadata:
        return {}
    pairs = [{"key": key.decode(), "value": value.decode()} for key, value in metadata.items()]
    return {"metadata": pairs}


def _type_json(kind: pa.DataType) -> dict[str, Any]:
    """Return one of the types that contracts have."""
    types = pa.types
    if types.is_integer(kind):
        return {"name": "int", "bitWidth": kind.bit_width, "isSigned": True}
    if types.is_floating(kind):
        return {"name": "floatingpoint", "precision": "DOUBLE"}
    if types.is_decimal(kind):
        sizes = {"precision": kind.precision, "scale": kind.scale}
        return {"name": "decimal", **sizes, "bitWidth": kind.bit_width}
    if types.is_timestamp(kind):
        return {"name": "timestamp", "unit": _UNITS[kind.unit], "timezone": kind.tz}
    if types.is_time(kind):
        return {"name": "time", "unit": _UNITS[kind.unit], "bitWidth": kind.bit_width}
    if types.is_date(kind):
        return {"name": "date", "unit": "DAY"}
    names = {
        pa.bool_(): "bool",
        pa.string(): "utf8",
        pa.binary(): "binary",
    }
    if kind in names:
        return {"name": names[kind]}
    return {"name": "list" if types.is_list(kind) else "struct"}
