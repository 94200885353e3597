"""Input whose shape leaves its contract: which columns come, in which types and order, not what is in them.

    kind       a column                                                        leaves the contract
    unknown    comes that the contract does not name                           yes; not under EVOLVE
    missing    does not come, and its field has no default                     yes; not under EVOLVE if the field may hold nothing
    type       is of a type whose values are not the field's                   yes
    absent     does not come, and its field has a default                      no: it is told, because it may have come yesterday
    order      comes in another order than the contract's                      no: columns are found by name

What leaves the contract is acted upon by the edge's policy (`OnDrift`); what does not is told, like all of it.  Text is no drift where it comes from a format that has nothing
else (CSV, JSON); in JSON a field that nobody writes stands as nothing in every row, so there it is the rows' matter.  A column of Arrow's null type has no type yet.
Types differ as kinds do between versions (`constraints.py`): whole numbers for a float field, a date for an instant are no drift, floats for whole numbers are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import plain
from runink.contracts.constraints import widens
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, OnDrift
from runink.contracts.reasons import REASON, REASONS, Example, Rejected

RULE: Final = "drift"  # of rows that are set aside because of their shape
COLUMNS_ORDERED_MAX: Final = 8  # of an order that is told
# Of a dead letter (`pipes/dead_letter.py`): its replay drops them, as it should.
OWN_PREFIX: Final = "dead_"
OWN: Final = frozenset(
    f"{OWN_PREFIX}{name}"
    for name in ("reasons", "contract", "version", "run", "step", "origin", "row")
)


class Departure(Enum):
    """How a column departs from its contract."""

    UNKNOWN = "unknown"
    MISSING = "missing"
    TYPE = "type"
    ABSENT = "absent"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Drift:
    """One departure. `is_allowed` says that the contract takes it as it is."""

    column: str
    departure: Departure
    text: str
    is_allowed: bool = False


def drift_of(spec: ContractSpec, schema: pa.Schema, policy: OnDrift, *, is_typed: bool) -> tuple[Drift, ...]:  # fmt: skip
    """Return how a batch of this schema departs from the contract. `is_typed` says that its format has types of its own, so that text means text."""
    if not schema.names:
        return ()  # an empty batch without columns is an empty batch
    fields = {field.name: field for field in spec.fields}
    whose = f"{spec.name} {spec.version}"
    found = [
        Drift(
            name,
            Departure.UNKNOWN,
            f"{name} is no column of {whose}",
            is_allowed=policy is OnDrift.EVOLVE,
        )
        for name in schema.names
        if name not in fields and name not in OWN
    ]
    came = set(schema.names)
    for field in spec.fields:
        if field.name not in came:
            found.append(_missing(field, policy))
        elif (drift := _type(field, schema.field(field.name).type, is_typed=is_typed)) is not None:
            found.append(drift)
    return (*found, *_order(spec, schema))


def acted_upon(drifts: Iterable[Drift]) -> tuple[Drift, ...]:
    """Return what leaves the contract."""
    return tuple(one for one in drifts if not one.is_allowed)


def _missing(field: FieldSpec, policy: OnDrift) -> Drift:
    if field.has_default:
        what = "nothing" if field.default is None else repr(field.default)
        text = f"{field.name} does not come: {what} stands in"
        return Drift(field.name, Departure.ABSENT, text, is_allowed=True)
    is_allowed = policy is OnDrift.EVOLVE and field.nullable
    stands_in = ": nothing stands in" if is_allowed else ""
    return Drift(
        field.name, Departure.MISSING, f"{field.name} does not come{stands_in}", is_allowed
    )


def _type(field: FieldSpec, came: pa.DataType, *, is_typed: bool) -> Drift | None:
    kind = kind_of(came)
    if kind is None or widens(kind, field.kind) or (kind is Kind.STR and not is_typed):
        return None
    return Drift(field.name, Departure.TYPE, f"{field.name} is {came}, not {field.kind.value}")


def kind_of(came: pa.DataType) -> Kind | None:
    """Return the kind whose values an Arrow type holds, nothing for the type of nothing."""
    types = pa.types
    if types.is_dictionary(came):
        return kind_of(came.value_type)
    if isinstance(came, pa.BaseExtensionType):
        return kind_of(came.storage_type)
    for is_of, kind in _KINDS:
        if any(getattr(types, name)(came) for name in is_of):
            return kind
    return None


_KINDS: Final = (
    (("is_integer",), Kind.INT),
    (("is_floating",), Kind.FLOAT),
    (("is_boolean",), Kind.BOOL),
    (("is_string", "is_large_string", "is_string_view"), Kind.STR),
    (("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary"), Kind.BYTES),
    (("is_date",), Kind.DATE),
    (("is_timestamp",), Kind.DATETIME),
    (("is_time",), Kind.TIME),
    (("is_decimal",), Kind.DECIMAL),
    (("is_struct", "is_map"), Kind.RECORD),
    (("is_list", "is_large_list", "is_fixed_size_list"), Kind.LIST),
)


def _order(spec: ContractSpec, schema: pa.Schema) -> tuple[Drift, ...]:
    named = {field.name for field in spec.fields}
    came = [name for name in schema.names if name in named]
    there = set(came)
    wanted = [field.name for field in spec.fields if field.name in there]
    if came == wanted:
        return ()
    shown = ", ".join(came[:COLUMNS_ORDERED_MAX]) + (" …" if len(came) > COLUMNS_ORDERED_MAX else "")  # fmt: skip
    return (Drift("", Departure.ORDER, f"columns come in another order: {shown}", is_allowed=True),)


def set_aside(batch: pa.RecordBatch, drifts: Iterable[Drift]) -> Rejected:
    """Return all rows of a batch as rejected because of its shape, each with all reasons."""
    drifts = acted_upon(drifts)
    rows = batch.num_rows
    listed = [
        pa.array([getattr(one, name) for one in drifts] * rows, pa.string())
        for name in ("column", "text")
    ]
    rules = pa.repeat(pa.scalar(RULE, pa.string()), len(drifts) * rows)
    struct = pa.StructArray.from_arrays([listed[0], rules, listed[1]], fields=list(REASON))
    offsets = pa.array(range(0, len(drifts) * rows + 1, max(len(drifts), 1)), pa.int32())
    reasons = pa.ListArray.from_arrays(offsets, struct, type=REASONS)
    original = pa.RecordBatch.from_arrays(
        [plain(column) for column in batch.columns], names=batch.schema.names
    )
    counts = {(one.column, RULE): rows for one in drifts}
    examples = {(one.column, RULE): Example(0, one.text) for one in reversed(drifts)}
    return Rejected(pa.array(range(rows), pa.int64()), original, reasons, counts, examples)


class Extras:
    """Columns that a contract does not name, handed on as text behind its own: those of the first batch, because one stream has one schema."""

    def __init__(self, spec: ContractSpec) -> None:
        self._known = {field.name for field in spec.fields} | OWN
        self._names: tuple[str, ...] | None = None

    def extended(self, good: pa.RecordBatch, batch: pa.RecordBatch, rejected: Rejected | None) -> pa.RecordBatch:  # fmt: skip
        """Return the good rows with their further columns; a column that does not come any more holds nothing, one that comes later is left out."""
        names = self._names
        if names is None:
            names = tuple(
                dict.fromkeys(name for name in batch.schema.names if name not in self._known)
            )
        if batch.num_rows:  # one without rows goes on only where there are no others
            self._names = names
        columns = [self._column(name, batch, rejected) for name in names]
        schema = good.schema
        for name in names:
            schema = schema.append(pa.field(name, pa.string()))
        return pa.RecordBatch.from_arrays([*good.columns, *columns], schema=schema)

    def _column(self, name: str, batch: pa.RecordBatch, rejected: Rejected | None) -> pa.Array:
        place = batch.schema.get_field_index(name)
        if place < 0:
            rows = batch.num_rows - (0 if rejected is None else len(rejected.rows))
            return pa.nulls(rows, pa.string())
        column = as_text(batch.column(place))
        if rejected is None:
            return column
        places = pa.array(range(batch.num_rows), pa.int64())
        return column.filter(pc.invert(pc.is_in(places, rejected.rows)))


def as_text(column: pa.Array) -> pa.Array:
    """Return a column as text: numbers, dates and times as Arrow writes them, what has parts as JSON, bytes that are no text as nothing."""
    column = plain(column)
    if pa.types.is_nested(column.type):
        texts = [
            None if value is None else json.dumps(value, ensure_ascii=False, default=str)
            for value in column.to_pylist()
        ]
        return pa.array(texts, pa.string())
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([_decoded(value) for value in column.to_pylist()], pa.string())


def _decoded(value: object) -> str | None:
    if not isinstance(value, bytes):
        return None if value is None else str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
