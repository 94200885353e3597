"""Why rows are rejected: the masks of a batch's broken rules made into a list of reasons for each row, without a loop over rows.

    reasons   list<struct<field: string, rule: string, message: string>>      one list a rejected row, in the order of the contract's fields

    rule         message
    missing      dep_time is missing
    type         dep_delay is 'abc', not an int
    overflow     n is '99999999999999999999', not within 64 bits
    finite       delay is nan, not a finite number
    ge, gt       month is 0, not at least 1            distance is 0, not more than 0
    le, lt       month is 13, not at most 12           share is 1.0, not less than 1.0
    min_length   dest is 'NY', not at least 3 characters long                  (and max_length)
    pattern      carrier is 'u', not of the form [A-Z0-9]{2}
    choices      origin is 'XXX', not one of EWR, JFK, LGA
    digits       price is '123456.5', not of at most 5 digits before the point
    scale        price is '1.255', not of at most 2 decimal places

Text is shown in quotes, without line ends, and cut. Of a field with `pii` no value is shown: `ssn is a value, not …`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import plain
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.physical import digits_of
from runink.contracts.values import article

REASON: Final = pa.struct([(name, pa.string()) for name in ("field", "rule", "message")])
REASONS: Final = pa.list_(REASON)
SHOWN_CHARACTERS_MAX: Final = (
    40  # of a value: enough to know it again, short enough for a line of a log
)
CHOICES_SHOWN_MAX: Final = 10  # more choices than this are counted, not listed
_OF_SOURCE: Final = frozenset(
    {"type", "overflow", "digits", "scale"}
)  # rules about the value as it came


@dataclass(frozen=True, slots=True)
class Broken:
    """One rule of one field, where it is broken (`mask`), and the values to show: as they came or as they were taken."""

    field: FieldSpec
    rule: str
    mask: pa.Array
    source: pa.Array
    values: pa.Array


@dataclass(frozen=True, slots=True)
class Rejected:
    """Rows that break a contract.

    `rows` are their places in the batch (int64, ascending), `original` the rows as they came (in plain types), `reasons` why, `counts` how many rows broke which
    (field, rule).
    """

    rows: pa.Array
    original: pa.RecordBatch
    reasons: pa.Array
    counts: dict[tuple[str, str], int]


def rejected(batch: pa.RecordBatch, broken: Sequence[Broken]) -> Rejected:
    """Gather all that is wrong with a batch, by row. There must be something."""
    places = [pc.indices_nonzero(one.mask).cast(pa.int64()) for one in broken]
    fields = [_constant(one.field.name, len(at)) for one, at in zip(broken, places, strict=True)]
    rules = [_constant(one.rule, len(at)) for one, at in zip(broken, places, strict=True)]
    messages = [_messages(one, at) for one, at in zip(broken, places, strict=True)]
    every = pa.concat_arrays(places)
    order = pc.sort_indices(every)  # stable: the reasons of a row stay in the order of the fields
    by_row = every.take(order)
    listed = [pa.concat_arrays(parts).take(order) for parts in (fields, rules, messages)]
    starts = _starts(by_row)
    rows = by_row.take(starts)
    offsets = pa.concat_arrays([starts, pa.array([len(by_row)], pa.int32())])
    struct = pa.StructArray.from_arrays(listed, fields=list(REASON))
    reasons = pa.ListArray.from_arrays(offsets, struct, type=REASONS)
    counts: dict[tuple[str, str], int] = {}
    for one, at in zip(broken, places, strict=True):
        key = (one.field.name, one.rule)
        counts[key] = counts.get(key, 0) + len(at)
    original = [plain(column).take(rows) for column in batch.columns]
    kept = pa.RecordBatch.from_arrays(original, names=batch.schema.names)
    return Rejected(rows, kept, reasons, counts)


def _constant(text: str, times: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), times)


def _starts(by_row: pa.Array) -> pa.Array:
    """Return where each row's reasons begin in an ascending list of rows."""
    changes = pc.indices_nonzero(pc.not_equal(by_row.slice(1), by_row.slice(0, len(by_row) - 1)))
    later = pc.add(changes.cast(pa.int32()), pa.scalar(1, pa.int32()))
    return pa.concat_arrays([pa.array([0], pa.int32()), later])


def _messages(broken: Broken, places: pa.Array) -> pa.Array:
    name = broken.field.name
    if broken.rule == "missing":
        return _constant(f"{name} is missing", len(places))
    wanted = wanted_by(broken.field, broken.rule)
    if broken.field.pii:
        return _constant(f"{name} is a value, not {wanted}", len(places))
    column = broken.source if broken.rule in _OF_SOURCE else broken.values
    shown = _shown(column.take(places))
    parts = (f"{name} is ", shown, f", not {wanted}", "")
    return pc.binary_join_element_wise(*parts)


def _shown(values: pa.Array) -> pa.Array:
    """Return the values as people read them, cut to a sane length."""
    kind = values.type
    try:
        text = values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _constant(f"of type {kind}", len(values))
    quoted = pa.types.is_string(text.type) and not _is_plain(kind)
    text = pc.replace_substring_regex(text, r"[[:cntrl:]]+", " ")
    if pc.max(pc.utf8_length(text)).as_py() > SHOWN_CHARACTERS_MAX:
        long = pc.greater(pc.utf8_length(text), SHOWN_CHARACTERS_MAX)
        cut = pc.utf8_slice_codeunits(text, 0, SHOWN_CHARACTERS_MAX)
        text = pc.if_else(long, pc.binary_join_element_wise(cut, "…", ""), text)
    return pc.binary_join_element_wise("'", text, "'", "") if quoted else text


def _is_plain(kind: pa.DataType) -> bool:
    """Numbers, booleans and times need no quotes."""
    types = pa.types
    return bool(types.is_primitive(kind) or types.is_decimal(kind))


def wanted_by(field: FieldSpec, rule: str) -> str:
    """Say what the rule asks for, so that it can stand behind `not`."""
    unit = "bytes" if field.kind is Kind.BYTES else "characters"
    match rule:
        case "type":
            return article(field.kind)
        case "overflow":
            return "within 64 bits"
        case "finite":
            return "a finite number"
        case "ge":
            return f"at least {field.ge}"
        case "gt":
            return f"more than {field.gt}"
        case "le":
            return f"at most {field.le}"
        case "lt":
            return f"less than {field.lt}"
        case "min_length":
            return f"at least {field.min_length} {unit} long"
        case "max_length":
            return f"at most {field.max_length} {unit} long"
        case "pattern":
            return f"of the form {field.pattern}"
        case "digits":
            digits, scale = digits_of(field)
            return f"of at most {digits - scale} digits before the point"
        case "scale":
            return f"of at most {digits_of(field)[1]} decimal places"
        case _:
            assert rule == "choices", rule
            shown = ", ".join(str(choice) for choice in field.choices[:CHOICES_SHOWN_MAX])
            more = len(field.choices) - CHOICES_SHOWN_MAX
            return f"one of {shown}" + (f" and {more} more" if more > 0 else "")
