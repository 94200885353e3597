"""How a reason says it: what came, and what was wanted.

    rule         message
    missing      dep_time is missing
    type         dep_delay is 'abc', not an int
    overflow     n is '99999999999999999999', not within 64 bits
    precision    at is '2013-01-01T10:00:00.1234567Z', not to the microsecond
    finite       delay is nan, not a finite number
    ge, gt       month is 0, not at least 1            distance is 0, not more than 0
    le, lt       month is 13, not at most 12           share is 1.0, not less than 1.0
    multiple_of  price is 0.07, not a multiple of 0.05
    min_length   dest is 'NY', not at least 3 characters long                  (and max_length)
    pattern      carrier is 'u', not of the form [A-Z0-9]{2}
    format       mail is 'ann', not an email
    choices      origin is 'XXX', not one of EWR, JFK, LGA
    digits       price is '123456.5', not of at most 5 digits before the point
    scale        price is '1.255', not of at most 2 decimal places
    unique       id is 7, not a value that no row before it has
    rule:NAME    the row breaks 'arrives after it leaves' (arr_time > dep_time): arr_time is 5, dep_time is 7

Text is shown in quotes, without line ends, and cut. Of a field with `pii` or `access`, and of all that is inside it, no value is shown: `ssn is a value, not …`.
"""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.digits import text_bytes
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.values import article, digits_of

SHOWN_CHARACTERS_MAX: Final = (
    40  # of a value: enough to know it again, short enough for a line of a log
)
FIRST_PRINTED, DELETE = (
    0x20,
    0x7F,
)  # bytes of ASCII: what is below the one, and the other, is not shown
VALUES_FEW: Final = 500  # values that are told faster one by one
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
CHOICES_SHOWN_MAX: Final = 10  # more choices than this are counted, not listed
HIDDEN: Final = "a value"
CODES: Final = (
    *("missing", "type", "overflow", "precision", "finite", "ge", "gt", "le", "lt", "multiple_of"),
    *("min_length", "max_length", "pattern", "format", "choices", "digits", "scale", "unique"),
)  # of reasons; besides them there are those of rules over a row, which begin with RULE_PREFIX
RULE_PREFIX: Final = "rule:"


def constant(text: str, times: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), times)


def told(names: pa.Array, shown: pa.Array | str, wanted: str) -> pa.Array:
    """Return the sentences `NAME is SHOWN, not WANTED`."""
    return pc.binary_join_element_wise(names, " is ", shown, f", not {wanted}", "")


def shown(values: pa.Array) -> pa.Array:
    """Return the values as people read them, cut to a sane length."""
    kind = values.type
    try:
        text = values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return constant(f"of type {kind}", len(values))
    if pa.types.is_primitive(kind):  # numbers, booleans and times: short, and without quotes
        return text
    every, _ = text_bytes(text)
    if len(every) and (
        pc.min(every).as_py() < FIRST_PRINTED or pc.index(every, DELETE).as_py() >= 0
    ):
        text = pc.replace_substring_regex(text, r"[[:cntrl:]]+", " ")
    if (pc.max(pc.binary_length(text)).as_py() or 0) > SHOWN_CHARACTERS_MAX:
        long = pc.greater(pc.utf8_length(text), SHOWN_CHARACTERS_MAX)
        cut = pc.utf8_slice_codeunits(text, 0, SHOWN_CHARACTERS_MAX)
        text = pc.if_else(long, pc.binary_join_element_wise(cut, "…", ""), text)
    if pa.types.is_decimal(kind):
        return text
    return pc.binary_join_element_wise("'", text, "'", "")


def told_few(name: str, values: pa.Array, wanted: str) -> pa.Array | None:
    """Return the same sentences for a few texts or whole numbers, one by one: so few are told before Arrow has begun. Nothing for others."""
    types, kind = pa.types, values.type
    if len(values) > VALUES_FEW:
        return None
    if types.is_string(kind):
        texts = [_quoted(value) for value in values.to_pylist()]
    elif types.is_integer(kind):
        texts = values.to_pylist()
    else:
        return None
    return pa.array([f"{name} is {text}, not {wanted}" for text in texts], pa.string())


def _quoted(value: str) -> str:
    text = _CONTROL.sub(" ", value)
    cut = len(text) > SHOWN_CHARACTERS_MAX
    return f"'{text[:SHOWN_CHARACTERS_MAX]}…'" if cut else f"'{text}'"


def wanted_by(field: FieldSpec, rule: str) -> str:
    """Say what the rule asks for, so that it can stand behind `not`."""
    match rule:
        case "type":
            return article(field.kind)
        case "overflow":
            return "within 64 bits"
        case "precision":
            return "held exactly by a float" if field.kind is Kind.FLOAT else "to the microsecond"
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
        case "multiple_of":
            return f"a multiple of {field.multiple_of}"
        case "min_length":
            return f"at least {_length(field, field.min_length)}"
        case "max_length":
            return f"at most {_length(field, field.max_length)}"
        case "pattern":
            return f"of the form {field.pattern}"
        case "format":
            return f"{'an' if field.format[0] in 'aeio' else 'a'} {field.format}"
        case "digits":
            digits, scale = digits_of(field)
            return f"of at most {digits - scale} digits before the point"
        case "scale":
            return f"of at most {digits_of(field)[1]} decimal places"
        case "unique":
            return "a value that no row before it has"
        case _:
            assert rule == "choices", f"{rule} is none of {CODES}"
            return _one_of(field)


def _length(field: FieldSpec, length: int | None) -> str:
    unit = {Kind.LIST: "item", Kind.BYTES: "byte"}.get(field.kind, "character")
    return f"{length} {unit}{'' if length == 1 else 's'} long"


def _one_of(field: FieldSpec) -> str:
    listed = ", ".join(str(choice) for choice in field.choices[:CHOICES_SHOWN_MAX])
    more = len(field.choices) - CHOICES_SHOWN_MAX
    return f"one of {listed}" + (f" and {more} more" if more > 0 else "")
