"""A contract enforced the slow, obvious way: value by value in plain Python. Knows nothing of Arrow and of the plan."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any

from runink.contracts.fields import ContractSpec, FieldSpec, Kind

NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"


class Bad(Exception):
    """The value is not of the kind; the text is the rule."""


def judged(rows: list[dict[str, Any]], spec: ContractSpec):
    """Return the good rows as values, and for each bad row its place and its (field, rule)s."""
    good, bad = [], []
    for place, row in enumerate(rows):
        values, reasons = {}, []
        for field in spec.fields:
            value, broken = judge(row[field.name], field)
            values[field.name] = value
            reasons += [(field.name, rule) for rule in broken]
        if reasons:
            bad.append((place, reasons))
        else:
            good.append(values)
    return good, bad


def judge(value: Any, field: FieldSpec) -> tuple[Any, list[str]]:
    if value is None:
        if field.nullable:
            return None, []
        if field.has_default:
            return own(field, field.default), []
        return None, ["missing"]
    try:
        taken = taken_for(value, field)
    except Bad as bad:
        return None, [str(bad)]
    return taken, list(broken(taken, field))


def taken_for(value: Any, field: FieldSpec) -> Any:
    if isinstance(value, str) and field.kind not in (Kind.STR, Kind.BYTES):
        value = value.strip(" \t\r\n\f\v")
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    match field.kind:
        case Kind.INT:
            return an_int(value, number)
        case Kind.FLOAT:
            return a_float(value, number)
        case Kind.BOOL:
            return a_bool(value, number)
        case Kind.STR:
            if isinstance(value, bytes):
                try:
                    return value.decode()
                except UnicodeDecodeError:
                    raise Bad("type") from None
            if isinstance(value, str):
                return value
        case Kind.BYTES:
            if isinstance(value, (bytes, str)):
                return value.encode() if isinstance(value, str) else value
        case Kind.DECIMAL:
            return a_decimal(
                value, number, field.digits or 38, 9 if field.scale is None else field.scale
            )
        case Kind.DATETIME:
            return an_instant(value)
        case Kind.DATE:
            instant = an_instant(value)
            if instant.time() == time(0):
                return instant.date()
        case Kind.TIME:
            if isinstance(value, time):
                return value
            if isinstance(value, str) and re.fullmatch(
                r"\d\d:\d\d(:\d\d(\.\d+)?)?", value, re.ASCII
            ):
                try:
                    return time.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
                except ValueError:
                    raise Bad("type") from None
    raise Bad("type")


def an_int(value, number):
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.0*)?", value, re.ASCII):
        value, number = int(value.partition(".")[0]), True
    if not number or abs(value) == math.inf or str(value) in ("nan", "NaN") or value != int(value):
        raise Bad("type")
    if not -(2**63) <= int(value) < 2**63:
        raise Bad("overflow")
    return int(value)


def a_float(value, number):
    if isinstance(value, str):
        if not re.fullmatch(NUMBER + r"|[+-]?(nan|inf|infinity)", value, re.ASCII | re.IGNORECASE):
            raise Bad("type")
        return float(value)
    if not number:
        raise Bad("type")
    return float(value)


def a_bool(value, number):
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else value
    if word in (("true", "t", "yes", "y", "on", "1") if isinstance(value, str) else (1,)):
        return True
    if word in (("false", "f", "no", "n", "off", "0") if isinstance(value, str) else (0,)) and (
        number or isinstance(value, str)
    ):
        return False
    raise Bad("type")


def a_decimal(value, number, digits, scale):
    text = repr(value) if isinstance(value, float) else str(value)
    if not (number or isinstance(value, str)) or not re.fullmatch(NUMBER, text, re.ASCII):
        raise Bad("type")
    exact = Decimal(text)
    if abs(Fraction(exact)) >= 10 ** (digits - scale):
        raise Bad("digits")
    if (Fraction(exact) * 10**scale).denominator != 1:
        raise Bad("scale")
    return exact


def an_instant(value) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    form = r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?(Z|[+-]\d\d(?::?\d\d)?)?)?"
    match = re.fullmatch(form, value, re.ASCII) if isinstance(value, str) else None
    if not match:
        raise Bad("type")
    day, hour, minute, second, fraction, zone = match.groups(default="")
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}.{fraction[:6].ljust(6, '0')}"
    if zone not in ("", "Z"):
        digits = zone[1:].replace(":", "")
        zone = f"{zone[0]}{digits[:2]}:{digits[2:] or '00'}"
        if int(zone[4:]) > 59 or int(zone[1:3]) > 23:
            raise Bad("type")
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise Bad("type") from None


def own(field: FieldSpec, value: Any) -> Any:
    """Return a bound or a default of the spec as the value that it stands for."""
    match field.kind:
        case Kind.BYTES:
            return value.encode("latin-1")
        case Kind.DATE:
            return date.fromisoformat(value)
        case Kind.TIME:
            return time.fromisoformat(value)
        case Kind.DATETIME:
            return datetime.fromisoformat(value)
        case Kind.DECIMAL:
            return Decimal(value)
        case _:
            return value


def broken(value: Any, field: FieldSpec):
    if field.kind is Kind.FLOAT and not field.allow_inf_nan and not math.isfinite(value):
        yield "finite"
    is_nan = isinstance(value, float) and math.isnan(value)
    if is_nan and not field.allow_inf_nan:
        return
    if field.ge is not None and not value >= own(field, field.ge):
        yield "ge"
    if field.gt is not None and not value > own(field, field.gt):
        yield "gt"
    if field.le is not None and not value <= own(field, field.le):
        yield "le"
    if field.lt is not None and not value < own(field, field.lt):
        yield "lt"
    if field.min_length is not None and len(value) < field.min_length:
        yield "min_length"
    if field.max_length is not None and len(value) > field.max_length:
        yield "max_length"
    if field.pattern is not None and not re.fullmatch(field.pattern, value):
        yield "pattern"
    if field.choices and value not in field.choices:
        yield "choices"
